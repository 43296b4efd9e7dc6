"""Signed tokens that expire, made and checked with a deployment's secret: links, sessions and requests of commands.

A token is 32 URL-safe characters: when it expires, a random id, and a signature (HMAC-SHA256, 96 bits) of its purpose
and both. The secret itself is in no address, cookie or header. Standard library only.
"""

import base64
import hmac
import secrets
import struct
import time
from dataclasses import dataclass
from typing import Literal

Purpose = Literal["link", "session", "command", "state"]
LINK_SECONDS = 15 * 60
COMMAND_SECONDS = 60
CHARACTERS = 32
SIGNATURE_BYTES = 12
HEAD = struct.Struct(">I8s")  # expires, id


@dataclass(frozen=True)
class Token:
    """The content of a valid token.

    Attributes:
        id: 16 hexadecimal digits.
        expires: seconds since the epoch.
    """

    id: str
    expires: int


def sign(secret: str, purpose: Purpose, seconds: float) -> str:
    """Return a new token that is valid for ``seconds``.

    Raises:
        ValueError: the secret is empty.
    """
    if not secret:
        raise ValueError("the secret is empty")
    head = HEAD.pack(int(time.time() + seconds), secrets.token_bytes(8))
    return base64.urlsafe_b64encode(head + signature(secret, purpose, head)).decode()


def check(secret: str, purpose: Purpose, token: str) -> Token | None:
    """Return the content of ``token``; None if it has expired, or was not made for ``purpose`` with ``secret``."""
    if not secret or len(token) != CHARACTERS or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return None
    head, signed = raw[: HEAD.size], raw[HEAD.size :]
    if not hmac.compare_digest(signed, signature(secret, purpose, head)):
        return None
    expires, number = HEAD.unpack(head)
    return Token(number.hex(), expires) if time.time() < expires else None


def signature(secret: str, purpose: Purpose, head: bytes) -> bytes:
    return hmac.digest(secret.encode(), f"pantheon {purpose} ".encode() + head, "sha256")[:SIGNATURE_BYTES]

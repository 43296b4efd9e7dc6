"""Encrypt secrets with a passphrase: scrypt makes the key, AES-256-GCM encrypts (both of the package cryptography).

The sealed bytes are ``MAGIC``, a salt (16 bytes), a nonce (12 bytes) and the ciphertext with its tag.
"""

import os

from pantheon.errors import PantheonError

MAGIC = b"pantheon sealed 1\n"
SALT, NONCE = 16, 12  # bytes
COST = 1 << 17  # of scrypt: 0.4 s and 128 MB for each guess


def seal(content: bytes, passphrase: str) -> bytes:
    """Return ``content``, encrypted."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    return MAGIC + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, content, MAGIC)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """Return the content.

    Raises:
        PantheonError: the passphrase is wrong, or the bytes were changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    rest = sealed.removeprefix(MAGIC)
    salt, nonce, ciphertext = rest[:SALT], rest[SALT : SALT + NONCE], rest[SALT + NONCE :]
    try:
        if not sealed.startswith(MAGIC):
            raise InvalidTag
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, ciphertext, MAGIC)
    except (InvalidTag, ValueError):
        raise PantheonError(
            "the passphrase does not open the secrets of this backup.",
            "Try again with the passphrase of the backup; or restore without them: SECRETS=none.",
        ) from None


def _key(passphrase: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(passphrase.encode())

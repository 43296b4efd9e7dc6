"""Where alerts go: a webhook and e-mail. Both are kept as a secret: an address or a password may let others in."""

import os
import re
from email.utils import parseaddr
from pathlib import Path
from typing import get_args

import msgspec

from pantheon import files
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError, describe
from pantheon.monitoring.deliver import SETTINGS, Channels, Mail, Tls, read_channels

VARIABLES = ("PANTHEON_ALERT_WEBHOOK", "ALERT_WEBHOOK")
PORTS = {"starttls": 587, "tls": 465, "none": 25}


def from_environment() -> str | None:
    """Take ``ALERT_WEBHOOK=`` out of this process's environment, which services inherit; None if it is not set."""
    found = [value for name in VARIABLES if (value := os.environ.pop(name, None)) is not None]
    return found[0] if found else None


def channels(deployment: Deployment) -> Channels:
    """Return where alerts go.

    Raises:
        PantheonError: the file is damaged.
    """
    return read_channels(deployment.state / "secrets")


def set_webhook(deployment: Deployment, url: str) -> bool:
    """Send alerts to a URL from now on; empty, ``off`` or ``none``: to none.

    Returns:
        Whether services must be started anew to reach it, or to reach nothing any more.

    Raises:
        PantheonError: it is not a URL. The message does not repeat it.
    """
    url = url.strip()
    if url.lower() in ("", "off", "none"):
        url = ""
    elif not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url) or len(url) > 2000 or not url.isprintable():
        raise PantheonError("ALERT_WEBHOOK is not a URL.", "It begins with https:// or http://, or is off.")
    return _write(deployment, msgspec.structs.replace(channels(deployment), webhook=url))


def set_mail(
    deployment: Deployment,
    host: str,
    sender: str,
    to: str,
    port: int = 0,
    user: str = "",
    password_file: str = "",
    tls: str = "starttls",
) -> bool:
    """Send alerts by e-mail from now on; without a host, send none.

    Args:
        to: addresses with commas between them.
        port: 0: the usual one.
        tls: ``starttls``, ``tls`` or ``none``.

    Returns:
        As ``set_webhook``.

    Raises:
        PantheonError: a value is not valid.
    """
    if not host:
        return _write(deployment, msgspec.structs.replace(channels(deployment), mail=None))
    if tls not in get_args(Tls):
        raise PantheonError(f"--tls {tls} is not valid.", f"Use one of: {', '.join(get_args(Tls))}.")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        raise PantheonError(
            f"--host {host!r} is not the name of a mail server.", "For example: --host mail.example.com"
        )
    receivers = tuple(each.strip() for each in to.split(",") if each.strip())
    for option, address in (("--from", sender), *(("--to", each) for each in receivers or ("",))):
        if (
            not re.fullmatch(r"[^@\s]+@[^@\s]+", address)
            or not address.isprintable()
            or parseaddr(address)[1] != address
        ):
            raise PantheonError(f"{option} {address!r} is not an address.", f"For example: {option} ops@example.com")
    if user and not password_file:
        raise PantheonError("--user needs a password.", "Write it to a file, and name that: --password-file FILE")
    password = _password(Path(password_file)) if password_file else ""
    mail = Mail(host, sender, receivers, port or PORTS[tls], user, password, tls)  # type: ignore[arg-type]
    return _write(deployment, msgspec.structs.replace(channels(deployment), mail=mail))


def _password(file: Path) -> str:
    try:
        text = file.expanduser().read_text(encoding="utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise PantheonError(f"{file} is not a text.", "Write the password, and nothing else, to it.") from None
    except OSError as error:
        raise describe(error, file) from None
    if not text or "\n" in text:
        raise PantheonError(f"{file} does not have one line.", "Write the password, and nothing else, to it.")
    return text


def _write(deployment: Deployment, new: Channels) -> bool:
    path = deployment.state / "secrets" / SETTINGS
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.atomic(path, mode=0o600, fsync=True) as part:
        part.write_bytes(msgspec.json.encode(new) + b"\n")
        files.hand_to_owner(part)
    leave = bool(new.webhook or new.mail)
    changed = deployment.settings.alerts_leave is not leave
    if changed:
        deployment.update(alerts_leave=leave)
    deployment.publish()
    return changed

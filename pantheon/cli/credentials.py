"""The secrets of a deployment: generated once, a file of mode 0600 each; what differs only in form is derived."""

import base64
import json
import os
import secrets
import string
from collections.abc import Callable
from pathlib import Path

GENERATED = ("postgres_password", "airflow_password", "airflow_jwt_secret", "jupyter_token", "dataflow_token")


def word() -> str:
    """Forty letters and digits, so that it fits a URL: 238 bits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def fernet_key() -> str:
    """What Airflow encrypts its connections with: 32 bytes, URL-safe base64 (the Fernet specification)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def make(folder: Path) -> None:
    """Make every secret that is not there yet; one that is there is kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "button").mkdir(mode=0o700, exist_ok=True)  # what the button may read; nothing until models are in S3
    for name in GENERATED:
        make_secret(folder / name)
    make_secret(folder / "airflow_fernet_key", fernet_key)
    # libpq and asyncpg take the password from a file of this form: it is in no URL.
    make_secret(folder / "pgpass", lambda: f"*:*:*:*:{read(folder / 'postgres_password')}\n")
    make_secret(folder / "airflow_passwords.json", lambda: json.dumps({"admin": read(folder / "airflow_password")}))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def make_secret(path: Path, value: Callable[[], str] = word) -> None:
    """A secret in a file of mode 0600: whole or absent, and one that is there is kept."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(value())
        os.link(part, path)  # of two commands at once, the first one's stays
    except FileExistsError:
        pass
    finally:
        part.unlink()

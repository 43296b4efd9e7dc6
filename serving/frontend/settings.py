"""The application, made as environment variables say: ``made`` is what a WSGI server runs.

``ENDPOINT_URL`` where the endpoint is, ``ENDPOINT_KEY_FILE`` the file with an API key of it, ``FRONTEND_MODEL``
which of its models (default: its default model), ``FRONTEND_SECRET_FILE`` the file with a random text of at least 32
characters, ``FRONTEND_DIR`` a folder of its own, ``FRONTEND_PORT`` of the address that people open on this machine
(default: 8000), ``FRONTEND_ADDRESS`` the address that others open, such as ``https://robots.example.com``.
"""

import os
from pathlib import Path

from .app import Frontend, application
from .browser import Cookies
from .client import Endpoint
from .guard import Guard
from .outbox import Outbox


def made() -> Guard:
    """Return the application, and start to deliver feedback.

    Raises:
        ValueError: a setting is missing or not valid.
        OSError: the folder cannot be written, or a secret cannot be read.
    """
    folder, public, number = Path(needed("FRONTEND_DIR")), os.environ.get("FRONTEND_ADDRESS", ""), port()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = Path(needed("FRONTEND_SECRET_FILE")).read_text(encoding="utf-8").strip()
    cookies = Cookies(secret, f"frontend-{number}", secure=public.startswith("https:"))
    address, key = needed("ENDPOINT_URL"), Path(needed("ENDPOINT_KEY_FILE"))
    endpoint = Endpoint(address, key, folder / "signature.json", os.environ.get("FRONTEND_MODEL", ""))
    outbox = Outbox(folder / "outbox", endpoint)
    outbox.start()
    return Guard(application(Frontend(endpoint, outbox, cookies)), number, public)


def port() -> int:
    given = os.environ.get("FRONTEND_PORT") or "8000"
    if not given.isdecimal():
        raise ValueError(f"FRONTEND_PORT is {given!r}, not a port.")
    return int(given)


def needed(name: str) -> str:
    if value := os.environ.get(name, ""):
        return value
    raise ValueError(f"{name} is not set.")

"""Clients of an S3: one in a process for each store and its keys, safe between threads."""

import os
import threading
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as BadIni
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pantheon.errors import PantheonError

CONNECT = 2.0  # seconds to wait for a connection, and for an answer
READ = 20.0
READ_ONCE = 5.0  # for who asks again anyway, as the button does
POOL = 16  # connections kept: threads of one process that ask at once

_clients: dict[tuple[Any, ...], Any] = {}
_lock = threading.Lock()


def connect(where: Mapping[str, Any], credentials: Path | None, host: bool = False) -> Any:
    """A boto3 client for the S3 that ``where`` names, as ``store.json`` does.

    Args:
        credentials: an AWS INI file with ``[default]`` keys; read again when it changes. None: boto3's own chain.
        host: for commands of this machine: ``host_endpoint`` instead of ``endpoint``.

    Raises:
        PantheonError: the keys' file is not there, or not as it should be.
    """
    endpoint = str(where.get("host_endpoint" if host else "endpoint") or "")
    return client(endpoint, str(where.get("region") or "us-east-1"), credentials)


def client(endpoint: str, region: str, credentials: Path | None, read: float = READ) -> Any:
    """The client for an endpoint (empty: AWS itself); made once, remade when the keys' file changes."""
    try:
        seen = None if credentials is None else credentials.stat().st_mtime_ns
    except OSError as error:
        raise PantheonError(
            f"the keys of the S3 store cannot be read: {credentials}: {error.strerror}.",
            "`bin/pantheon up` makes them.",
            status=1,
        ) from None
    key = (os.getpid(), endpoint, region, credentials, seen, read)
    with _lock:
        if key not in _clients:
            _clients[key] = _make(endpoint, region, credentials, read)
        return _clients[key]


def _make(endpoint: str, region: str, credentials: Path | None, read: float) -> Any:
    # Where models lie in a folder, nobody pays for it.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=CONNECT,
        read_timeout=read,
        max_pool_connections=POOL,
        # One try each: a try repeated unseen would meet its own success as "somebody was faster". We try again above.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # Our checksums are in the manifest; the newer trailing ones are refused by some S3 servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
        proxies={} if _near(endpoint) else None,
    )
    try:
        return _session(credentials).client(
            "s3", endpoint_url=endpoint or None, region_name=region, config=config, **_keys(credentials)
        )
    except (BotoCoreError, ValueError) as error:  # such as an endpoint that is no URL
        raise PantheonError(f"no S3 client can be made for {endpoint or 'AWS'}: {error}", status=1) from None


def _session(credentials: Path | None) -> Any:
    """A boto3 session; with keys of ours it looks for no profile, and into no AWS file of the user's."""
    import boto3

    return boto3.session.Session() if credentials is None else _own_session()


@cache  # what it reads of S3's interface is read once; clients are made one at a time (_lock)
def _own_session() -> Any:
    import boto3
    from botocore.session import Session

    nothing: dict[str, Any] = {"profile": (None, None, None, None)}
    nothing |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return boto3.session.Session(botocore_session=Session(session_vars=nothing))


def _keys(credentials: Path | None) -> dict[str, str]:
    if credentials is None:
        return {}
    ini = ConfigParser(interpolation=None)  # a secret may hold a percent sign
    try:
        ini.read_string(credentials.read_text(encoding="utf-8"))
        default = ini["default"]
        found = {name: default[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (BadIni, KeyError, UnicodeDecodeError):  # their messages would show the secret
        raise PantheonError(
            f"{credentials} has no [default] with aws_access_key_id and aws_secret_access_key.",
            "`bin/pantheon up` writes ours anew; for an S3 of your own, give it S3_ENDPOINT_URL and its keys again.",
            status=1,
        ) from None
    if default.get("aws_session_token"):
        found["aws_session_token"] = default["aws_session_token"]
    return found


def _near(endpoint: str) -> bool:
    """Whether the endpoint is this machine or a service beside us: never to be asked through a proxy."""
    try:
        name = urlsplit(endpoint).hostname or ""
    except ValueError:  # no URL: boto3 says so
        return False
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return bool(name) and "." not in name

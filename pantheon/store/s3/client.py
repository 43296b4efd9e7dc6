"""S3 clients: one per process, store and keys; thread-safe."""

import os
import threading
from configparser import ConfigParser
from configparser import Error as BadIni
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pantheon.errors import PantheonError
from pantheon.state import StoreLocation

CONNECT = 2.0  # timeout of a connection, seconds
READ = 20.0  # timeout of a response, seconds
READ_ONCE = 5.0  # the same for callers that poll anyway, such as the serving process
POOL = 16  # connections: threads of one process that send requests at once

_clients: dict[tuple[Any, ...], Any] = {}
_lock = threading.Lock()


def connect(where: StoreLocation, credentials: Path | None, host: bool = False) -> Any:
    """Return a boto3 client for the S3 at ``where``, the content of ``store.json``.

    Args:
        credentials: an AWS INI file with ``[default]`` keys; reloaded when it changes. None: boto3's default chain.
        host: for commands on this machine: use ``host_endpoint`` instead of ``endpoint``.

    Raises:
        PantheonError: the file with the keys is missing or not valid.
    """
    return client(where.host_endpoint if host else where.endpoint, where.region, credentials)


def client(endpoint: str, region: str, credentials: Path | None, read: float = READ) -> Any:
    """Return the client for an endpoint (empty: AWS); cached until the file with the keys changes."""
    try:
        seen = None if credentials is None else credentials.stat().st_mtime_ns
    except OSError as error:
        raise PantheonError(
            f"the keys of the S3 store cannot be read: {credentials}: {error.strerror}.",
            "`bin/pantheon up` creates them.",
            status=1,
        ) from None
    key = (os.getpid(), endpoint, region, credentials, seen, read)
    with _lock:
        if key not in _clients:
            _clients[key] = _make(endpoint, region, credentials, read)
        return _clients[key]


def _make(endpoint: str, region: str, credentials: Path | None, read: float) -> Any:
    # Imported here, so that deployments with models in a folder do not pay for it.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=CONNECT,
        read_timeout=read,
        max_pool_connections=POOL,
        # No retries here: a hidden retry of a conditional put would fail on its own success. `Bucket` retries.
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
    except (BotoCoreError, ValueError) as error:  # such as an endpoint that is not a URL
        raise PantheonError(f"cannot create an S3 client for {endpoint or 'AWS'}: {error}", status=1) from None


def _session(credentials: Path | None) -> Any:
    """Return a boto3 session; with explicit keys, it ignores the user's AWS profiles and files."""
    import boto3

    return boto3.session.Session() if credentials is None else _own_session()


@cache  # loads the description of S3's API once; clients are created one at a time (_lock)
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
        keys = {name: default[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (BadIni, KeyError, UnicodeDecodeError):  # their messages would contain the secret
        raise PantheonError(
            f"{credentials} has no [default] with aws_access_key_id and aws_secret_access_key.",
            "`bin/pantheon up` rewrites it; for your own S3, set S3_ENDPOINT_URL and its keys again.",
            status=1,
        ) from None
    if default.get("aws_session_token"):
        keys["aws_session_token"] = default["aws_session_token"]
    return keys


def _near(endpoint: str) -> bool:
    """Whether the endpoint is on this machine or a service of the deployment, which must not use a proxy."""
    try:
        name = urlsplit(endpoint).hostname or ""
    except ValueError:  # not a URL: boto3 reports it
        return False
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return bool(name) and "." not in name

"""Credentials that orders name: files of mode 0600 in ``secrets/orders``, which ``orders login`` writes.

Those of an HTTP server have ``host=``, ``username=`` and ``password=``: nobody can have them sent to another host.
Those of S3 are in AWS's format.
"""

import base64
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pantheon.errors import PantheonError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Login:
    """A user of an HTTP server.

    Attributes:
        file: where it is kept.
        host: with its port if that is not the usual one.
    """

    file: Path
    host: str
    user: str
    password: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request sends."""
        return {"Authorization": f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"}


@dataclass(frozen=True)
class Credentials:
    """The folder ``secrets/orders``."""

    folder: Path

    def file(self, name: str, field: str) -> Path:
        """Return a file with credentials.

        Args:
            field: of the order that names it.

        Raises:
            PantheonError: there is none, or it cannot be used.
        """
        path = self.folder / name
        if not NAME.fullmatch(name) or not path.is_file() or path.is_symlink():
            cure = "An operator writes it: `bin/pantheon orders login --help`"
            raise PantheonError(f"{field}: there is no file {name[:64]!r} in secrets/orders.", cure)
        if path.stat().st_mode & 0o077:
            raise PantheonError(f"{field}: others can read secrets/orders/{name}.", "Ask an operator: chmod 600.")
        if not os.access(path, os.R_OK):
            cure = "An operator writes it again: `bin/pantheon orders login --help`"
            raise PantheonError(f"{field}: the service orders cannot read secrets/orders/{name}.", cure)
        return path

    def login(self, name: str, field: str, url: str) -> Login:
        """Return the credentials for the server of ``url``.

        Raises:
            PantheonError: there are none, or they are for another host.
        """
        path, host = self.file(name, field), host_of(url)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        given = dict(line.partition("=")[::2] for line in lines)
        if not given.get("username") or not given.get("password") or given.get("host") != host:
            cause = f"{field}: {name} has no host={host}, username= and password=."
            raise PantheonError(cause, f"An operator writes it: `bin/pantheon orders login {name} {host} USER`")
        return Login(path, host, given["username"], given["password"])

    def keys(self, name: str, field: str) -> Path:
        """Return a file with keys of S3, as AWS's programs read it. Raises the same errors."""
        path = self.file(name, field)
        if "aws_access_key_id" not in path.read_text(encoding="utf-8", errors="replace"):
            cure = f"An operator writes it: `bin/pantheon orders login {name} s3 ACCESS_KEY_ID`"
            raise PantheonError(f"{field}: {name} has no keys of S3, where DVC's remote is.", cure)
        return path


def host_of(url: str) -> str:
    """Return the host of an address, with its port if it names one."""
    return url.partition("://")[2].partition("/")[0].lower()


@contextmanager
def netrc(login: Login) -> Iterator[tuple[Path, int]]:
    """Write a login as ``.netrc``, in memory: no password is on the disk if this process is killed.

    Yields:
        Its path for a process that inherits the descriptor, and the descriptor.
    """
    values = (urlsplit(f"//{login.host}").hostname or "", login.user, login.password)
    machine, user, password = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    descriptor = os.memfd_create("netrc")
    try:
        os.write(descriptor, f'machine "{machine}" login "{user}" password "{password}"\n'.encode())
        yield Path(f"/proc/self/fd/{descriptor}"), descriptor
    finally:
        os.close(descriptor)

"""Check and fetch what an order names: a git repository at a commit, and data of a repository with DVC.

Everything here comes from outside: neither git nor DVC sees the deployment's own keys and settings, follows a
redirection to another host, runs a hook, or asks a question. Credentials are files that a person put into the folder
``secrets/orders``; orders name them. Git gets one by a helper that prints the file, so that no password is an argument.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import launch

SECONDS = 900.0  # for each command of git and DVC
PROTOCOLS = "http:https:git"
URL = re.compile(r"(https?|git)://[A-Za-z0-9.\[\]:_-]+(/[^\s\\]*)?")
COMMIT = re.compile(r"[0-9a-f]{7,64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HELPER = '!f() { test "$1" != get || cat "$ORDER_CREDENTIALS"; }; f'
PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
REFUSED = ("Authentication failed", "could not read Username", "terminal prompts disabled", "returned error: 403")
AWAY = ("Could not resolve host", "Failed to connect", "Connection refused", "unable to connect", "Couldn't connect")


@dataclass(frozen=True)
class Source:
    """A git repository at a commit.

    Attributes:
        what: in messages, such as ``the model repository``.
        field: of the order, such as ``model``.
        credentials: the name of a file with ``username=…`` and ``password=…``; empty: none is needed.
    """

    what: str
    field: str
    url: str
    commit: str
    credentials: str = ""

    def check(self) -> None:
        """Check what was written, without asking the repository.

        Raises:
            PantheonError: it is not valid; names the field.
        """
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            cure = f"Put them into a file in secrets/orders, and name it in {self.field}.credentials."
            raise PantheonError(f"{self.field}.url: must not contain a user's name or password.", cure)
        if not URL.fullmatch(self.url):
            cure = "For example: https://git.example.com/team/models.git"
            raise PantheonError(f"{self.field}.url: must begin with https://, http:// or git://.", cure)
        if not COMMIT.fullmatch(self.commit):
            cure = "See it with: git rev-parse HEAD"
            raise PantheonError(
                f"{self.field}.commit: must be a commit's hash, so that the order can be repeated.", cure
            )
        if self.credentials and not NAME.fullmatch(self.credentials):
            raise PantheonError(f"{self.field}.credentials: must be the name of a file in secrets/orders.")


@dataclass(frozen=True)
class Fetcher:
    """Runs git and DVC for orders.

    Args:
        secrets: the folder with credentials.
        home: an empty folder for what git and DVC keep; made if it is missing.
    """

    secrets: Path
    home: Path

    def reachable(self, source: Source) -> None:
        """Check that a repository answers, in a second or two.

        Raises:
            PantheonError: it does not, or refuses the credentials.
        """
        source.check()
        self._git(source, self.home, "ls-remote", "--quiet", source.url, "HEAD")

    def fetch(self, source: Source, folder: Path) -> str:
        """Fetch a repository, and check its commit out in ``folder``, which is empty; return the commit's full hash.

        Raises:
            PantheonError: the repository does not answer, or has no such commit.
        """
        source.check()
        self._git(source, folder, "init", "--quiet", ".")
        refs = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        self._git(source, folder, "fetch", "--quiet", "--no-recurse-submodules", source.url, *refs)
        found = self._run(source, folder, "rev-parse", "--verify", "--quiet", f"{source.commit}^{{commit}}")
        if found.returncode:
            cure = "Push it to a branch of that repository, or correct the order."
            raise PantheonError(f"{source.what} has no commit {source.commit}: {source.url}", cure)
        commit = found.stdout.strip()
        self._git(source, folder, "checkout", "--quiet", "--detach", commit)
        return commit

    def pull(self, source: Source, folder: Path, path: str, remote_credentials: str = "") -> Path:
        """Return a data file of a fetched repository; DVC pulls it if DVC tracks it.

        Args:
            path: of the file, in the repository.
            remote_credentials: the name of a file with keys of S3 for DVC's remote, in AWS's format.

        Raises:
            PantheonError: the repository has no such file, or DVC cannot get it.
        """
        target = inside(folder, path, f"{source.field}.path")
        tracked = target.with_name(f"{target.name}.dvc")
        if tracked.is_file() and not target.exists():
            program = launch.program(os.environ)
            if not program.exists():
                raise PantheonError("the environment of DVC is missing.", "Create it: `bin/bootstrap dvc`", 1)
            environment = self._environment({"DVC_NO_ANALYTICS": "1"})
            if remote_credentials:
                environment["AWS_SHARED_CREDENTIALS_FILE"] = str(self.secret(remote_credentials, "data.remote"))
            for kind in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE"):
                environment[f"DVC_{kind}_DIR"] = str(self.home / f"dvc-{kind.lower()}")
            done = _run([str(program), "pull", "--quiet", str(tracked)], folder, environment)
            if done.returncode or not target.exists():
                said = _last(done.stderr or done.stdout)
                raise PantheonError(
                    f"DVC cannot get {path} of {source.what}: {said}",
                    "Push it first: `dvc push`, or correct the order.",
                )
        target = inside(folder, path, f"{source.field}.path")  # again: DVC may have made a link
        if not target.is_file():
            cure = "Correct the path, or commit the file (or its .dvc file)."
            raise PantheonError(f"{source.what} has no file {path} at {source.commit}.", cure)
        return target

    def secret(self, name: str, field: str) -> Path:
        """Return the file with credentials.

        Raises:
            PantheonError: there is none.
        """
        path = self.secrets / name
        if not NAME.fullmatch(name) or not path.is_file() or path.is_symlink():
            cure = "Ask an operator to put it there, with mode 0600."
            raise PantheonError(f"{field}.credentials: there is no file {name[:64]!r} in secrets/orders.", cure)
        return path

    def _git(self, source: Source, folder: Path, *words: str) -> None:
        done = self._run(source, folder, *words)
        if done.returncode == 0:
            return
        if any(text in done.stderr for text in REFUSED):
            cure = f"Name a file with credentials in {source.field}.credentials." if not source.credentials else ""
            raise PantheonError(f"{source.what} refuses access: {source.url}", cure or "Check the credentials.")
        if any(text in done.stderr for text in AWAY):
            raise PantheonError(f"{source.what} does not answer: {source.url}", "Check the address and the network.")
        raise PantheonError(f"{source.what} cannot be read: {source.url}: {_last(done.stderr)}", "Check the address.")

    def _run(self, source: Source, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        settings = ["core.hooksPath=/dev/null", "http.followRedirects=false", "credential.helper=", "gc.auto=0"]
        more: dict[str, str] = {}
        if source.credentials:
            more["ORDER_CREDENTIALS"] = str(self.secret(source.credentials, source.field))
            settings.append(f"credential.helper={HELPER}")
        options = [part for setting in settings for part in ("-c", setting)]
        return _run(["git", *options, *words], folder, self._environment(more))

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        self.home.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in PASSED if name in os.environ}
        ours = {
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**inherited, **ours, **more}


def inside(folder: Path, path: str, field: str) -> Path:
    """Return a path of a repository.

    Raises:
        PantheonError: it leads out of the repository, also by a link.
    """
    target = folder / path
    if not path or "\0" in path or not target.resolve().is_relative_to(folder.resolve()):
        raise PantheonError(f"{field}: {path[:200]!r} is not a path in the repository.", "For example: data/wine.csv")
    return target


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        raise PantheonError(f"{command[0]} is not installed.", "", 1)
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = Path(command[0]).name
        raise PantheonError(f"{what} has not ended after {SECONDS:.0f} s.", "Try a smaller repository.", 1) from None


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " ".join(lines[-2:])[:400] or "it says nothing."

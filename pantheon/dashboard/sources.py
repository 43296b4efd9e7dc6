"""Check and fetch what an order names: a git repository at a commit, and data of a repository with DVC.

Everything here comes from outside: neither git nor DVC sees the deployment's own keys and settings, follows a
redirection to another host, runs a hook, or asks a question. Git gets a password by a helper that prints the file, and
DVC by a descriptor, so that none is an argument. DVC sees only the address of the remote and the hash of the file, in a
folder of its own: no other setting of the repository is obeyed.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pantheon.dashboard.credentials import NAME, Credentials, netrc
from pantheon.dashboard.tracked import Tracked, inside, remote_of, tracked
from pantheon.errors import PantheonError
from pantheon.files import scratch
from pantheon.web.client import Client

SECONDS = 900.0  # for each command of git and DVC
PROTOCOLS = "http:https:git"
URL = re.compile(r"(https?|git)://[A-Za-z0-9.\[\]:_-]+(/[^\s\\]*)?")
COMMIT = re.compile(r"[0-9a-f]{7,64}")
HELPER = '!f() { test "$1" != get || cat "$ORDER_CREDENTIALS"; }; f'
PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
REFUSED = ("Authentication failed", "could not read Username", "terminal prompts disabled", "returned error: 403")
DENIED = (
    "Unable to locate credentials",
    "(403)",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)  # S3's
LOST = "Missing cache files"  # DVC's words for what a remote does not have
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
        endpoints: returns addresses of S3 that are called otherwise here: that of the deployment's own.
    """

    secrets: Path
    home: Path
    endpoints: Callable[[], Mapping[str, str]] = dict

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.secrets)

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
        """Return a data file of a fetched repository; DVC pulls it if DVC tracks it, or a folder that has it.

        Args:
            path: of the file, in the repository.
            remote_credentials: the name of a file with credentials for DVC's remote.

        Raises:
            PantheonError: the repository has no such file, or DVC cannot get it.
        """
        target = inside(folder, path, f"{source.field}.path")
        if not target.exists() and (found := tracked(target, folder, source.what)):
            remote = remote_of(found.file.parent, folder, source.what)
            self._pull(source, folder, target, found, remote, remote_credentials)
        target = inside(folder, path, f"{source.field}.path")  # again: it may be a link
        if not target.is_file():
            cure = "Correct the path, or commit the file (or its .dvc file)."
            raise PantheonError(f"{source.what} has no file {path} at {source.commit}.", cure)
        return target

    def _pull(
        self, source: Source, folder: Path, target: Path, found: Tracked, remote: dict[str, str], credentials: str
    ) -> None:
        """Have DVC get one file, in a folder that has nothing else."""
        from pantheon.versioning import launch  # only where DVC is

        program, path = launch.program(os.environ), target.relative_to(folder)
        if not program.exists():
            raise PantheonError("the environment of DVC is missing.", "Create it: `bin/bootstrap dvc`", 1)
        environment = self._environment({"DVC_NO_ANALYTICS": "1"})
        for kind in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE"):
            environment[f"DVC_{kind}_DIR"] = str(self.home / f"dvc-{kind.lower()}")
        if endpoint := self.endpoints().get(remote.get("endpointurl", "").rstrip("/")):
            remote = {**remote, "endpointurl": endpoint}
        with scratch(folder / ".git", ".pull-") as place, ExitStack() as after:
            passed: tuple[int, ...] = ()
            headers: dict[str, str] = {}
            if credentials and remote["url"].startswith("s3://"):
                keys = self.credentials.keys(credentials, f"{source.field}.remote")
                environment["AWS_SHARED_CREDENTIALS_FILE"] = str(keys)
            elif credentials:
                login = self.credentials.login(credentials, f"{source.field}.remote", remote["url"])
                file, descriptor = after.enter_context(netrc(login))
                headers = login.headers
                environment["NETRC"], passed = str(file), (descriptor,)
            (place / ".dvc").mkdir()
            lines = [f"    {name} = {value}" for name, value in remote.items()]
            config = ["[core]", "    no_scm = true", "    remote = data", "['remote \"data\"']", *lines]
            (place / ".dvc" / "config").write_text("\n".join(config) + "\n", encoding="utf-8")
            kind = "  hash: md5\n" if found.current else ""
            (place / "data.dvc").write_text(f"outs:\n- md5: {found.md5}\n{kind}  path: data\n", encoding="utf-8")
            wanted = f"data/{found.rest}" if found.rest else "data"
            if refuses(f"{remote['url'].rstrip('/')}/{found.key}", headers):
                raise refusal(f"{path} of {source.what}", DENIED[0], remote["url"], credentials)
            done = _run([str(program), "pull", wanted], place, environment, passed)
            got = inside(place, wanted, f"{source.field}.path")
            if done.returncode or got.is_symlink() or not got.is_file():
                raise refusal(f"{path} of {source.what}", done.stdout + done.stderr, remote["url"], credentials)
            target.parent.mkdir(parents=True, exist_ok=True)
            got.replace(target)

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
            login = self.credentials.login(source.credentials, f"{source.field}.credentials", source.url)
            more["ORDER_CREDENTIALS"] = str(login.file)
            settings.append(f"credential.helper={HELPER}")
        options = [part for setting in settings for part in ("-c", setting)]
        return _run(["git", *options, *words], folder, self._environment(more))

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        self.home.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in PASSED if name in os.environ}
        ours = {
            "HOME": str(self.home),
            "USER": "orders",  # in a container, the user has no name, which DVC asks for
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**inherited, **ours, **more}


def refuses(url: str, headers: Mapping[str, str]) -> bool:
    """Return whether a server refuses access to a file: DVC takes that for a file that is not there."""
    if not url.startswith("http"):
        return False
    try:
        return Client(url, "DVC's remote", headers=headers).send("HEAD", "").status in (401, 403)
    except PantheonError:
        return False  # DVC says why


def refusal(what: str, said: str, url: str, credentials: str) -> PantheonError:
    """Return why DVC did not get something."""
    if any(text in said for text in DENIED):
        cure = "Check the credentials." if credentials else "Name a file with credentials in data.remote."
        return PantheonError(f"DVC cannot get {what}: {url} refuses access.", cure)
    reason = f"{url} does not have it." if LOST in said else _last(said)
    return PantheonError(f"DVC cannot get {what}: {reason}", "Push it first: `dvc push`, or correct the order.")


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], passed: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        raise PantheonError(f"{command[0]} is not installed.", "", 1)
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            pass_fds=passed,
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
    """Return what a program said at last: its errors, if it marks them as git and DVC do."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(("ERROR: ", "fatal: ", "error: "))]
    return " ".join((marked or lines)[-2:])[:400] or "it says nothing."

"""Run ``git`` and ``dvc`` in the deployment's repositories."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pantheon.errors import PantheonError
from pantheon.versioning import launch

# The user's settings must not prompt for a key or run a hook when a run is recorded.
SETTINGS = ("commit.gpgsign=false", "tag.gpgsign=false", "core.hooksPath=/dev/null", "core.quotePath=false")
# A file in git's folder during an unfinished operation → the operation's name.
UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisect",
}
MAX_CHARACTERS = 500  # of DVC's output in a message
UNREACHABLE = ("Could not connect", "EndpointConnectionError", "Connection refused", "ConnectTimeout", "NoSuchBucket")


@dataclass(frozen=True)
class Git:
    """Runs ``git`` in ``folder``, a repository (bare or not) of the deployment ``state``."""

    folder: Path
    state: Path

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run ``git``.

        Args:
            check: raise an error if git fails.

        Returns:
            Its output without the last newline; empty if it failed and ``check`` is False.

        Raises:
            PantheonError: git is not installed, or it failed.
        """
        done = self.run(*arguments)
        if done.returncode and check:
            output = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise PantheonError(f"git {arguments[0]} failed in {self.folder}: {' '.join(output[-3:])}", status=1)
        return done.stdout.rstrip("\n") if done.returncode == 0 else ""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("git") is None:
            raise PantheonError(
                "git is not installed, and DVC needs it.", "Install it, on Debian and Ubuntu: apt-get install git"
            )
        settings = [option for setting in SETTINGS for option in ("-c", setting)]
        return subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.folder,
            env=launch.environment(self.state, self.folder, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # file names may be in another encoding and must be passed back unchanged
            check=False,
        )

    def ok(self, *arguments: str) -> bool:
        return self.run(*arguments).returncode == 0

    @property
    def private(self) -> Path:
        return self.folder / ".git"

    def commit_of(self, name: str) -> str:
        """Return the commit that a branch, tag or hash names; empty if it does not exist."""
        return self("rev-parse", "--verify", "-q", f"{name}^{{commit}}", check=False)

    def head(self) -> str:
        """Return the current commit; empty in a repository without commits."""
        return self.commit_of("HEAD")

    def branch(self) -> str:
        """Return the current branch; empty with a detached HEAD."""
        return self("symbolic-ref", "--short", "-q", "HEAD", check=False)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Return whether the history of ``commit`` contains ``ancestor``."""
        return self.ok("merge-base", "--is-ancestor", ancestor, commit)

    def unfinished(self) -> str:
        """Return the unfinished operation, such as "a merge"; empty without one."""
        return next((what for name, what in UNFINISHED.items() if (self.private / name).exists()), "")

    def changed(self) -> list[str]:
        """Return tracked files that differ from HEAD, in the index or in the work tree."""
        entries = self("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames").split("\0")
        return sorted(entry[3:] for entry in entries if entry)

    def files(self, *under: str) -> list[str]:
        """Return the tracked files of HEAD below the paths ``under``."""
        return [name for name in self("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *under).split("\0") if name]


# The program of a session: it reads commands as lines of JSON ([folder, arguments]), runs them and answers with the
# exit status. DVC's imports take as long as its work on a small run, so they happen once.
_SESSION = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from dvc.cli import main
from dvc import repo
for line in sys.stdin:
    folder, words = json.loads(line)
    os.chdir(folder)
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    print(int(status or 0), file=answers, flush=True)
"""


class Dvc:
    """Runs ``dvc`` commands in repositories of the deployment ``state``, in one process.

    Args:
        lock: descriptor of a lock that is held until the process has ended, even if this process is killed earlier.
    """

    def __init__(self, state: Path, lock: int | None = None) -> None:
        self.state, self.lock = state, lock
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - until __exit__
        self.busy = threading.Lock()
        self.verb = ""  # of the last command
        self.stopped = False

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process if it is not running; if started early, it imports DVC in the meantime.

        Raises:
            PantheonError: DVC's environment is missing.
        """
        if self.process is None:
            if not launch.program(os.environ).exists():
                raise PantheonError("the environment of DVC is missing.", "Create it: `bin/bootstrap dvc`")
            folder = self.state / "repositories"
            self.process = subprocess.Popen(
                [launch.program(os.environ).with_name("python"), "-P", "-c", _SESSION],
                cwd=folder,
                env=launch.environment(self.state, folder / "main", os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                pass_fds=[] if self.lock is None else [self.lock],
            )
        return self.process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process:
            self.process.kill()  # it has answered its last command, or the answer is not needed
            with suppress(OSError):  # a command that it has not read
                self.process.communicate()
        self.errors.close()

    def __call__(self, folder: Path, *words: str) -> None:
        """Run ``dvc`` in ``folder``.

        Raises:
            PantheonError: it failed, the process was stopped, or DVC's environment is missing.
        """
        process, self.verb = self.start(), words[0]
        assert process.stdin and process.stdout
        begin = os.fstat(self.errors.fileno()).st_size
        with self.busy:
            try:
                process.stdin.write(json.dumps([str(folder), words]).encode() + b"\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = b""
        if answer.strip() == b"0":
            return
        if self.stopped:
            raise PantheonError(f"dvc {words[0]} was interrupted.", status=1)
        raise failed(words[0], os.pread(self.errors.fileno(), 1 << 20, begin).decode(errors="replace"))

    def stop(self, patience: float = 0.0) -> None:
        """Kill the process, once its current command has ended or ``patience`` seconds have passed."""
        ended = self.busy.acquire(timeout=patience) if patience else False
        self.stopped = True
        if self.process:
            self.process.kill()
        if ended:
            self.busy.release()


def is_busy(folder: Path) -> bool:
    """Return whether a DVC command such as ``dvc repro`` is working on files of the repository ``folder``.

    DVC records which process reads or writes which of its files; the record of a killed process remains.
    """
    try:
        held = json.loads((folder / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8") or "{}")
        holders = [holder for each in held.values() for holder in [each.get("write"), *each.get("read", [])] if holder]
        return any(Path("/proc", str(holder["pid"])).exists() for holder in holders)
    except (OSError, ValueError, AttributeError, TypeError, KeyError):  # cut short by a kill
        return False


def failed(verb: str, output: str) -> PantheonError:
    """Return DVC's error messages as one line."""
    if any(text in output for text in UNREACHABLE):
        return PantheonError(f"dvc {verb}: the S3 store does not answer.", "Check its state: `bin/pantheon status`", 1)
    errors: list[str] = []
    in_error = False  # the following lines of an error name the affected files
    for line in output.splitlines():
        kind = re.match(r"(ERROR|WARNING|CRITICAL): ", line)
        if kind:
            in_error = kind[1] != "WARNING"
            errors += [line[kind.end() :].strip()] if in_error else []
        elif in_error and line.strip():
            errors[-1] += f" {line.strip()}"
    text = "; ".join(errors) or output.strip()[-MAX_CHARACTERS:]
    return PantheonError(
        f"dvc {verb} failed: {text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + ' …'}", status=1
    )

"""git in a deployment's repository."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import launch

# The user's own settings must not ask for a key, or run a hook, when a run is recorded.
SETTINGS = ("commit.gpgsign=false", "tag.gpgsign=false", "core.hooksPath=/dev/null", "core.quotePath=false")
# What git leaves in its folder while something is under way → what that is.
UNDER_WAY = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisect",
}


@dataclass(frozen=True)
class Git:
    """The repository in ``folder`` of the deployment ``state``."""

    folder: Path
    state: Path

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run ``git`` and give its output without the last line's end; an empty text where it failed unchecked.

        Raises:
            PantheonError: git is not there, or it failed and that was checked for.
        """
        done = self.run(*words)
        if done.returncode and check:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise PantheonError(f"git {words[0]} failed in {self.folder}: {' '.join(said[-3:])}", status=1)
        return done.stdout.rstrip("\n") if done.returncode == 0 else ""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("git") is None:
            raise PantheonError(
                "git is not installed, and DVC works on it.", "On Debian and Ubuntu: apt-get install git"
            )
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        return subprocess.run(
            ["git", *settings, *words],
            cwd=self.folder,
            env=launch.surroundings(self.state, self.folder, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # names of files may be in another encoding, and go back to git as they came
            check=False,
        )

    def ok(self, *words: str) -> bool:
        return self.run(*words).returncode == 0

    @property
    def private(self) -> Path:
        return self.folder / ".git"

    def head(self) -> str:
        """The commit that HEAD is at; empty in a repository without one."""
        return self("rev-parse", "--verify", "-q", "HEAD", check=False)

    def branch(self) -> str:
        """The branch that HEAD is on; empty where it is on none."""
        return self("symbolic-ref", "--short", "-q", "HEAD", check=False)

    def under_way(self) -> str:
        """What is not finished, such as a merge; empty for nothing."""
        return next((what for name, what in UNDER_WAY.items() if (self.private / name).exists()), "")

    def changed(self) -> list[str]:
        """Tracked files that differ from HEAD, in the index or in the work tree."""
        entries = self("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames").split("\0")
        return sorted(entry[3:] for entry in entries if entry)

    def files(self, *under: str) -> list[str]:
        """What HEAD has below the paths ``under``."""
        return [name for name in self("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *under).split("\0") if name]

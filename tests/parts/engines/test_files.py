"""The lock of a change outlives a killed command as long as its child process runs."""

import subprocess
import sys
import time
from pathlib import Path

from pantheon.files import lock as locked
from tests.support import ROOT
from tests.support.waiting import until

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from pantheon.files import lock as locked
with locked(Path(sys.argv[1])) as lock:
    subprocess.Popen(["sh", "-c", 'echo > "$1.begun"; while [ ! -e "$1.go" ]; do sleep 0.1; done; echo > "$1.over"',
                      "sh", sys.argv[1]], pass_fds=(lock,) if sys.argv[2] == "pass" else ())
    time.sleep(60)
"""


def killed(path: Path, how: str) -> None:
    """A command that holds the lock and has a child is killed; the child goes on."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), how], cwd=ROOT)
    until(Path(f"{path}.begun").exists, 60)
    process.kill()
    process.wait()


def test_the_next_command_waits_for_a_child_that_inherited_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    killed(path, "pass")
    waiter = subprocess.Popen(["flock", str(path), "test", "-e", f"{path}.over"])
    time.sleep(0.5)
    assert waiter.poll() is None
    Path(f"{path}.go").touch()
    assert waiter.wait(60) == 0, "it got the lock before the child was over"


def test_without_a_child_the_lock_is_free_immediately(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    killed(path, "keep")
    with locked(path):
        assert not Path(f"{path}.over").exists()
    Path(f"{path}.go").touch()
    until(Path(f"{path}.over").exists, 60)

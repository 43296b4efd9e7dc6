"""compose/health.sh on the local engine, where the supervisor restarts what hangs: the script only runs the check."""

import subprocess

import pytest

from tests.support import ROOT

SCRIPT = ROOT / "compose" / "health.sh"


@pytest.mark.parametrize("status", [0, 1, 7])
def test_the_status_is_that_of_the_command_and_nothing_is_killed(status: int) -> None:
    for _ in range(3):
        command = ["sh", str(SCRIPT), "1", "sh", "-c", f"echo said; exit {status}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, "said\n")

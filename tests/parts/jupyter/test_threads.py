"""What the notebooks call, without a Jupyter: when a stage is done again, threads, and messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pantheon.workflow.run import Params, Run
from tests.support import ROOT


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, (ROOT / "datasets" / "wine.toml").read_text(), "wine", Params(trials=2, threads=1))


def test_another_number_of_threads_asks_for_a_new_kernel(run: Run) -> None:
    """Fresh processes: what is loaded into this one already does not matter."""
    lines = "{first}", "from pantheon import notebook", "notebook.open_run()", "import polars"
    code = "\n".join([*lines, "print(polars.thread_pool_size())"])
    environment = {**os.environ, "STATE_DIR": str(run.state), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    found = []
    for first in ("", "import numpy"):
        command = [sys.executable, "-P", "-c", code.format(first=first)]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))
    assert found[0].stdout.splitlines()[-1] == "1", found[0].stderr
    assert found[1].returncode != 0
    assert "Restart the kernel" in found[1].stderr

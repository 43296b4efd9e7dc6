"""``python -m serving.inference`` as a process: its memory, its stop, and errors at its start."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.parts.serving.test_inference_swap import serving
from tests.parts.serving.test_swap import ROW
from tests.support import ROOT
from tests.support.bundles import bundle
from tests.support.button import Deployment
from tests.support.endpoint import process
from tests.support.waiting import until

LARGE_MB = 60


def large(folder: Path) -> Path:
    """A bundle whose model takes ``LARGE_MB`` of memory."""
    path = bundle(folder) / "model.onnx"
    model = onnx.load(str(path))
    table = np.ones(LARGE_MB * 1024 * 1024 // 4, dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    model.graph.node.append(helper.make_node("Gather", ["table", "label"], ["looked_up"]))
    model.graph.output.append(helper.make_tensor_value_info("looked_up", TensorProto.FLOAT, [None]))
    onnx.save(model, str(path))
    return folder


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def test_memory_comes_back_after_a_version_was_dropped(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "small"))
    with process(deployment.folder) as (started, client):
        before = memory_mb(started.pid)
        assert before < 130
        for number in range(2, 5):
            deployment.publish(large(tmp_path / str(number)))
            until(lambda number=number: serving(client) == str(number))  # type: ignore[misc]
            assert client.predict(ROW).status == 200
        assert 0.8 * LARGE_MB < memory_mb(started.pid) - before < 1.5 * LARGE_MB
        deployment.publish(bundle(tmp_path / "last"))
        until(lambda: serving(client) == "5")
        until(lambda: memory_mb(started.pid) < before + 15)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"STATE_DIR": "/nowhere"}, "endpoint: STATE_DIR does not name"),
        ({"ENDPOINT_LOG": "never"}, "endpoint: ENDPOINT_LOG is 'never'. Use one of: required, best-effort, off."),
        ({"SPOOL_MB": "much"}, "endpoint: SPOOL_MB is 'much'."),
        ({"SPOOL_DIR": "/proc/nowhere"}, "endpoint: "),
    ],
)
def test_errors_at_the_start_are_one_line(deployment: Deployment, environment: dict[str, str], said: str) -> None:
    env = (
        os.environ | {"STATE_DIR": str(deployment.folder), "ENDPOINT_PORT": "1", "PYTHONPATH": str(ROOT)} | environment
    )
    command = [sys.executable, "-m", "serving.inference"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1

"""Odysseus on the local engine: from a fresh clone to a model, from ``down``, and memory."""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.startup import ROOT, timed
from benchmarks.zeus import PORTS, settled
from pantheon.engines.ports import free_offset


def bench(repeats: int = 3) -> dict[str, Any]:
    """Everything in one clone with empty caches, which is removed afterwards."""
    offset = free_offset(PORTS)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "pantheon"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        caches = {"UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip", "XDG_CACHE_HOME": f"{folder}/cache"}
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | caches
        up = ["make", "-s", "tier-odysseus", "up", "ENGINE=local", f"PORT_OFFSET={offset}"]
        down = ["make", "-s", "tier-odysseus", "down"]
        try:
            fresh = timed(up, cwd=clone, env=env)
            outcome = json.loads(next((clone / ".pantheon/pantheon/runs").glob("*/outcome.json")).read_text())
            again = [timed(up, cwd=clone, env=env) for _ in range(repeats)]
            idle = settled(clone)
            from_down = []
            for _ in range(repeats):
                timed(down, cwd=clone, env=env)
                from_down.append(timed(up, cwd=clone, env=env))
        finally:
            subprocess.run(down, cwd=clone, env=env, capture_output=True, check=False)
    return {
        "fresh clone to a model, s": {"value": fresh, "bar": 240, "decision": outcome["decision"]},
        "up, already up, s": {"value": statistics.median(again), "bar": 1.5},
        "up from down, s": {"value": statistics.median(from_down), "bar": 30},
        "idle memory after a run, MB PSS": {"value": idle, "bar": 1250},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

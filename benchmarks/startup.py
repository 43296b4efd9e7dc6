"""How long one waits: from a fresh clone and empty caches to a pressed button; for a second `up`; from `down`."""

import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from pantheon.engines.ports import free_offset

ROOT = Path(__file__).resolve().parent.parent


def timed(command: list[str], **given: Any) -> float:
    """Wall seconds of a command that must succeed."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **given)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.perf_counter() - begin


def press(port: int) -> Any:
    """Press the button as a program does: one robot to ``POST /predict``."""
    body = json.dumps({"payload": [{"robot-age": 5, "rust-level": "9", "battery": "low"}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["prediction"]


def bench(repeats: int = 5) -> dict[str, Any]:
    """Seconds for each of the three, in a clone that is removed afterwards."""
    offset = free_offset([8080])
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "pantheon"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        caches = {"UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip", "XDG_CACHE_HOME": f"{folder}/cache"}
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | caches
        up = ["make", "-s", "tier-persephone", "up", "ENGINE=local", f"PORT_OFFSET={offset}"]
        try:
            begin = time.perf_counter()
            timed(up, cwd=clone, env=env)
            answer = press(8080 + offset)
            fresh = time.perf_counter() - begin
            again = [timed(up, cwd=clone, env=env) for _ in range(repeats)]
            from_down = []
            for _ in range(3):
                timed(["make", "-s", "tier-persephone", "down"], cwd=clone, env=env)
                from_down.append(timed(up, cwd=clone, env=env))
        finally:
            subprocess.run(
                ["make", "-s", "tier-persephone", "down"], cwd=clone, env=env, capture_output=True, check=False
            )
    return {
        "fresh clone to a pressed button, s": {"value": fresh, "bar": 60, "answer": answer},
        "up, already up, s": {"value": statistics.median(again), "bar": 1.5},
        "up from down, s": {"value": statistics.median(from_down), "bar": 8},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

"""How long a user waits: from a fresh clone to a prediction, for `up` again or after `down`, to grow to odysseus."""

import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Clone:
    """A fresh clone of this repository with empty caches, on the local engine."""

    folder: Path
    offset: int
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / ".pantheon" / "pantheon"

    def make(self, tier: str, verb: str) -> float:
        """``make tier-TIER VERB``; wall seconds."""
        moved = ["ENGINE=local", f"PORT_OFFSET={self.offset}"]
        return timed(["make", "-s", f"tier-{tier}", verb, *moved], cwd=self.folder, env=self.environment)


@contextmanager
def fresh_clone(ports: Sequence[int]) -> Iterator[Clone]:
    """One whose services listen beside these ports; it is taken down and removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "pantheon"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        caches = {"UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip", "XDG_CACHE_HOME": f"{folder}/cache"}
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        made = Clone(clone, free_offset(ports), kept | caches)
        try:
            yield made
        finally:
            down = ["make", "-s", "down"]
            subprocess.run(down, cwd=clone, env=made.environment, capture_output=True, check=False)


def bench(repeats: int = 5) -> dict[str, Any]:
    """Seconds of each command, all in one clone that began with empty caches."""
    from benchmarks.zeus import PORTS

    with fresh_clone(PORTS) as clone:
        begin = time.perf_counter()
        clone.make("persephone", "up")
        answer = press(8080 + clone.offset)
        fresh = time.perf_counter() - begin
        again = [clone.make("persephone", "up") for _ in range(repeats)]
        from_down = []
        for _ in range(3):
            clone.make("persephone", "down")
            from_down.append(clone.make("persephone", "up"))
        grown = clone.make("odysseus", "up")
    return {
        "fresh clone to a pressed button, s": {"value": fresh, "bar": 35, "answer": answer},
        "up, already up, s": {"value": statistics.median(again), "bar": 1.5},
        "up from down, s": {"value": statistics.median(from_down), "bar": 8},
        "persephone to odysseus, environments not cached, s": {"value": grown, "bar": 40},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

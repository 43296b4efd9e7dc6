"""Odysseus on the local engine: from a fresh clone to a model, from ``down``, and memory."""

import json
import statistics
from typing import Any

from benchmarks.startup import fresh_clone
from benchmarks.zeus import PORTS, settled


def bench(repeats: int = 3) -> dict[str, Any]:
    """Everything in one clone."""
    with fresh_clone(PORTS) as clone:
        fresh = clone.make("odysseus", "up")
        outcome = json.loads(next((clone.state / "runs").glob("*/outcome.json")).read_text())
        again = [clone.make("odysseus", "up") for _ in range(repeats)]
        idle = settled(clone.folder)
        from_down = []
        for _ in range(repeats):
            clone.make("odysseus", "down")
            from_down.append(clone.make("odysseus", "up"))
    return {
        "fresh clone to a model, s": {"value": fresh, "bar": 240, "decision": outcome["decision"]},
        "up, already up, s": {"value": statistics.median(again), "bar": 1.5},
        "up from down, s": {"value": statistics.median(from_down), "bar": 30},
        "idle memory after a run, MB PSS": {"value": idle, "bar": 1250},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

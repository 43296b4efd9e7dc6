"""Kraken on the local engine: from a fresh clone to a model, from ``down``, and memory."""

import json
import statistics
from typing import Any

from benchmarks.startup import fresh_clone
from benchmarks.zeus import settled
from tests.support.ports import PORTS


def bench(repeats: int = 3) -> dict[str, Any]:
    """Everything in one clone."""
    with fresh_clone(list(PORTS)) as clone:
        fresh = clone.make("kraken", "up")
        outcome = json.loads(next((clone.state / "runs").glob("*/outcome.json")).read_text())
        again = [clone.make("kraken", "up") for _ in range(repeats)]
        idle = settled(clone.folder)
        from_down = []
        for _ in range(repeats):
            clone.make("kraken", "down")
            from_down.append(clone.make("kraken", "up"))
    return {
        "fresh clone to a model, s": {"value": fresh, "bar": 300, "decision": outcome["decision"]},
        "up, already up, s": {"value": statistics.median(again), "bar": 2},
        "up from down, s": {"value": statistics.median(from_down), "bar": 40},
        "idle memory after a run, MB PSS": {"value": idle, "bar": 2200},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

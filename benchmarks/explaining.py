"""How long explanations take: a model of the robots (3 inputs), and models of made tables of 8 and of 30 numbers."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

from benchmarks import runs
from benchmarks.peers.servers import ROW, Server, endpoint, running
from benchmarks.serving import load

INPUTS = (8, 30)
ROWS, ROUNDS = 2_000, 3


def train(state: Path, scratch: Path) -> dict[int, tuple[str, dict[str, object]]]:
    """Deploy a model for each number of inputs; return its name and a row, by that number."""
    models: dict[int, tuple[str, dict[str, object]]] = {3: ("robots", ROW)}
    for inputs in INPUTS:
        file = scratch / f"made-{inputs}.csv"
        runs.write(file, runs.Size(ROWS, inputs + 1, 2, 0))
        name = runs.take(state, file)
        runs.run(state, name)
        models[inputs] = name, {f"x{place}": 0.5 for place in range(inputs)}
    return models


def milliseconds(state: Path, scratch: Path) -> dict[int, float]:
    """Return the median latency of one explained row at one client, by the number of inputs."""
    models = train(state, scratch)
    found: dict[int, float] = {}
    # by its name: the model that was trained last is the default now
    robots = replace(endpoint(state), path="/predict?model=robots")
    with running(robots, scratch / "explaining.log") as server:
        for inputs, (name, row) in models.items():
            body = scratch / f"explain-{inputs}.json"
            body.write_text(json.dumps({"instances": [row]}))
            asked: Server = replace(server, path=f"/v1/models/{name}:explain")
            found[inputs] = statistics.median(load(asked, 1, body, 2)["p50"] for _ in range(ROUNDS))
    return found

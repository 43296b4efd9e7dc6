"""A workshop on this machine: start, memory of each person, a reset, the end.

``WORKSHOPS=persephone:20,zeus:6`` in the environment says which (the default); each takes minutes.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from pantheon.processes import memory
from pantheon.workshop.place import Place
from pantheon.workshop.running import engine_of
from tests.support import ROOT
from tests.support.ports import free_port_offset

DEFAULT = "persephone:20,zeus:6"
IDLE_SECONDS, RESETS, RESET_BAR = 20, 3, 10


def bench() -> dict[str, Any]:
    """Every workshop that ``WORKSHOPS`` names, one after another."""
    figures: dict[str, Any] = {}
    for each in os.environ.get("WORKSHOPS", DEFAULT).split(","):
        tier, _, people = each.partition(":")
        figures |= workshop(tier, int(people))
    return figures


def workshop(tier: str, people: int) -> dict[str, Any]:
    """One workshop, with its own folder, which is removed."""
    with tempfile.TemporaryDirectory() as home:

        def run(*words: str) -> tuple[float, Any]:
            begin = time.perf_counter()
            clean = {key: value for key, value in os.environ.items() if not key.startswith("PANTHEON_")}
            command = [ROOT / "bin" / "pantheon", "workshop", *words, "--json"]
            given = clean | {"PANTHEON_HOME": home}
            out = subprocess.run(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, check=True)
            return time.perf_counter() - begin, json.loads(out.stdout)

        offset = str(free_port_offset())
        try:
            up, _ = run("up", "--people", str(people), "--tier", tier, "--trials", "2", "--port-offset", offset)
            time.sleep(IDLE_SECONDS)
            place = Place(Path(home) / "workshop")
            engines = [engine_of(place, person) for person in place.existing().people]
            used = [memory(engine.processes()) / 1e6 for engine in engines if engine]
            resets = [run("reset", str(number + 1))[1]["seconds"] for number in range(min(RESETS, people))]
        finally:
            down, _ = run("down", "--confirm", "yes")
    name = f"{people} people at {tier}"
    return {
        f"{name}: from nothing to all up, each with a model, s": {"value": up},
        f"{name}: idle memory of a person, MB PSS": {"value": statistics.median(used)},
        f"{name}: idle memory of all, MB PSS": {"value": sum(used)},
        f"{name}: reset of a person, s": {"value": statistics.median(resets), "bar": RESET_BAR},
        f"{name}: the end, s": {"value": down},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

"""Zeus on the local engine: from a fresh clone to a model, from ``down``, memory, and what the ETL costs in Airflow."""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import bare
from benchmarks.startup import fresh_clone

PORTS = [8080, 8081, 8888, 8070, 5433, 9000, *range(9010, 9017)]


def memory(clone: Path) -> float:
    """Proportional set size of every process of the clone's deployment, MB (10^6 bytes)."""
    total = 0
    for process in psutil.process_iter():
        try:
            named = any(str(clone) in value for value in (process.cwd(), *process.environ().values()))
            if named and process.pid != os.getpid():
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total / 1e6


def settled(clone: Path) -> float:
    """Memory once it has stopped falling: a run's processes are gone, the interpreters are idle."""
    last = memory(clone)
    for _ in range(12):
        time.sleep(5)
        now = memory(clone)
        if abs(now - last) < 3:
            return now
        last = now
    return last


def etl(state: Path, address: str) -> float:
    """Seconds from the request to the end of one ETL in Airflow."""
    from pantheon.airflow.client import Airflow
    from pantheon.airflow.handover import taken
    from pantheon.deployment.airflow_run import dag_run_of, new_id

    airflow = Airflow(address, state / "secrets" / "airflow_password")
    airflow.wait_for_dag("etl")
    run = new_id()
    begin = time.perf_counter()
    airflow.trigger("etl", dag_run_of(run), {"dataset": "robots", "trials": 2, "run": run})
    while (found := airflow.state("etl", dag_run_of(run))) not in ("success", "failed"):
        time.sleep(0.1)
    took = time.perf_counter() - begin
    if found == "failed":
        raise RuntimeError("the ETL failed")
    while not (next_one := taken(state, run)):  # what follows must not disturb the next
        time.sleep(0.2)
    while airflow.state(next_one["dag"], next_one["dag_run"]) not in ("success", "failed"):
        time.sleep(0.2)
    return took


def by_hand(clone: Path, offset: int) -> dict[str, float]:
    """Seconds until each bare component is ready; see ``benchmarks.bare``."""
    from pantheon.engines import Options
    from pantheon.engines.local.engine import LocalEngine

    state = clone / ".pantheon" / "pantheon"
    options = Options("pantheon", state, clone / "tiers/4-zeus/compose.yaml", clone, offset)
    engine = LocalEngine(options, lambda name: clone / ".pantheon/envs" / name)
    logs = clone / "bare"
    logs.mkdir(exist_ok=True)
    return bare.chains(engine.services(), clone, logs)


def bench(repeats: int = 5) -> dict[str, Any]:
    """Everything in one clone."""
    with fresh_clone(PORTS) as clone:
        fresh = clone.make("zeus", "up")
        outcome = json.loads(next((clone.state / "runs").glob("*/outcome.json")).read_text())
        again = [clone.make("zeus", "up") for _ in range(repeats)]
        zeus = settled(clone.folder)
        runs = [etl(clone.state, f"http://127.0.0.1:{8081 + clone.offset}") for _ in range(4)]
        from_down, hands = [], []
        for _ in range(3):
            clone.make("zeus", "down")
            hands.append(by_hand(clone.folder, clone.offset))
            from_down.append(clone.make("zeus", "up"))
        clone.make("prometheus", "up")
        prometheus = settled(clone.folder)
    slowest = [max(hand.values()) for hand in hands]
    median = statistics.median
    return {
        "fresh clone to a model, s": {"value": fresh, "bar": 150, "decision": outcome["decision"]},
        "up, already up, s": {"value": median(again), "bar": 1.5},
        "up from down, s": {"value": median(from_down), "bar": 25},
        "bare components by hand, s": {"value": median(slowest), "chains": hands},
        "up from down / by hand": {"value": median(from_down) / median(slowest), "bar": 1.15},
        "idle memory of zeus, MB PSS": {"value": zeus, "bar": 950},
        "idle memory of prometheus, MB PSS": {"value": prometheus, "bar": 850},
        "warm ETL of 5,000 robots in Airflow, s": {"value": median(runs[1:]), "bar": 8, "runs": runs},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

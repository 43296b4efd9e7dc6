"""Pipelines of Kubeflow without a cluster: a step's overhead, and the workflow as a pipeline against the graph.

python -m benchmarks.kubeflow
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.kubeflow import Service, ended, manifest

ENVIRONMENTS = ROOT / ".pantheon" / "envs"
STEPS = 20
SECONDS = 600.0
TRIALS = 10
CHAIN = """
from kfp import dsl

@dsl.component
def add(a: int) -> int:
    return a + 1

@dsl.pipeline
def chain():
    last = add(a=0)
    for _ in range({steps}):
        last = add(a=last.output)
"""


def compiled(source: str) -> Any:
    """Return a pipeline that KFP's compiler made of a file's text."""
    import yaml

    done = subprocess.run(
        [
            str(ENVIRONMENTS / "kubeflow/bin/python"), "-P", "-m", "pantheon.kubeflow.pipelines.compiling",
            "--called", "chain.py", "--function", "chain",
        ],
        input=source,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    return yaml.safe_load(json.loads(done.stdout)["yaml"])


def run(service: Service, name: str, **spec: Any) -> tuple[float, list[dict[str, Any]]]:
    """Run a pipeline; return the seconds from the request to its end, and its steps."""
    clock = time.perf_counter()
    service.client.apply(manifest(name, kind="PipelineRun", version="pantheon.org/v1", caching=False, **spec))
    found = service.client.wait("pipelineruns", name, ended, SECONDS, poll=0.05)
    took = time.perf_counter() - clock
    if not found or not ended(found, "Succeeded"):
        raise RuntimeError(f"{name} did not succeed: {found and found['status']['conditions']}")
    steps: list[dict[str, Any]] = found["status"]["steps"]
    return took, steps


def graph(state: Path) -> float:
    """Return the seconds of the workflow as the graph runs it: one process."""
    clock = time.perf_counter()
    subprocess.run(
        [
            str(ENVIRONMENTS / "workflow/bin/python"), "-P", "-m", "pantheon.worker", "run",
            "--dataset", "robots", "--params", json.dumps({"trials": TRIALS}),
        ],
        env={**os.environ, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    return time.perf_counter() - clock


def bench() -> dict[str, Any]:
    """The figures of ``make bench``."""
    with tempfile.TemporaryDirectory(prefix="bench-kubeflow-") as scratch:
        state = Path(scratch) / "state"
        state.mkdir()
        service = Service(state, "pantheon.kubeflow", str(ENVIRONMENTS / "kubeflow/bin/python"))
        service.start(
            WORKFLOW_ENVIRONMENT=str(ENVIRONMENTS / "workflow"),
            KUBEFLOW_URL=f"http://127.0.0.1:{service.port}",  # so that stages make TrainJobs and Experiments
            KUBEFLOW_KEY_FILE=str(service.key),
        )
        try:
            chain = compiled(CHAIN.format(steps=STEPS))
            run(service, "warm", pipelineSpec=chain)  # imports kfp, and fills the file cache
            _, steps = run(service, "chain", pipelineSpec=chain)
            times = sorted((datetime.fromisoformat(s["started"]), datetime.fromisoformat(s["finished"])) for s in steps)
            overhead = (times[-1][1] - times[0][1]).total_seconds() / (len(times) - 1)
            reference = min(graph(state) for _ in range(2))
            spec = {"pipelineRef": {"name": "workflow"}, "parameters": {"trials": TRIALS}}
            took, steps = min((run(service, f"workflow-{place}", **spec) for place in range(2)), key=lambda one: one[0])
        finally:
            service.end(signal.SIGTERM)
    return {
        "overhead of a step of a pipeline (s)": {"value": overhead, "bar": 1.0},
        "the workflow as a pipeline, against the graph": {
            "value": took / reference,
            "bar": 1.3,
            "pipeline": took,
            "graph": reference,
            "steps": {step["name"]: step.get("seconds", 0.0) for step in steps},
        },
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

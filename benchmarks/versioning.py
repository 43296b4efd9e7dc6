"""DVC in a deployment's repository: a repro with nothing to do beside bare DVC, and what recording a run costs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.startup import ROOT, timed
from pantheon import versioning
from pantheon.files import write_json
from pantheon.versioning import launch
from pantheon.workflow.run import Params, Run
from tests.support import s3_servers as servers


def odysseus(state: Path, bucket: str, endpoint: str) -> None:
    """A state folder whose deployment is at odysseus, without its services."""
    for name in ("runs", "models", "data", "extensions", "state", "repositories", "secrets/s3"):
        (state / name).mkdir(parents=True)
    write_json(state / "state" / "deployment.json", {"tier": "odysseus", "engine": "local", "route": {"data": "dvc"}})
    store = {"kind": "s3", "bucket": bucket, "region": "us-east-1", "endpoint": endpoint, "host_endpoint": endpoint}
    write_json(state / "state" / "store.json", store)
    (state / "secrets" / "s3" / "credentials").write_text(servers.KEYS)


def recorded(state: Path) -> float:
    """Seconds to record a run of 5,000 robots, training not counted, as the step says it."""
    spec = (ROOT / "datasets" / "robots.toml").read_text()
    run = Run.create(state, spec, "robots", Params(trials=2), tier="odysseus", runner="graph")
    credentials = {"AWS_SHARED_CREDENTIALS_FILE": str(state / "secrets" / "s3" / "credentials")}
    env = {**os.environ, **credentials, "STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "pantheon.worker", "run", "--run", run.id]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if event.get("stage") == "version_control" and event["state"] == "done":
            return float(event["seconds"])
    raise RuntimeError("the run was not recorded")


def bench(repeats: int = 5) -> dict[str, Any]:
    """Everything in a state folder of its own, on SeaweedFS."""
    subprocess.run([ROOT / "bin" / "bootstrap", "dvc"], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "weed").mkdir()
        with servers.weed(folder / "weed") as server:
            state = folder / "state"
            odysseus(state, server.bucket(), server.endpoint)
            main = versioning.prepare(state).folder
            took = [recorded(state) for _ in range(3)]
            clean = {key: value for key, value in os.environ.items() if key not in ("STATE_DIR", "PYTHONPATH")}
            ours, bare = [], []
            for _ in range(repeats):
                ours.append(timed([str(ROOT / "bin" / "dvc"), "repro"], cwd=main, env=clean))
                around = launch.environment(state, main, clean)
                bare.append(timed([str(launch.program(clean)), "repro"], cwd=main, env=around))
    return {
        "dvc repro, nothing to do, s": {"value": statistics.median(ours), "bar": 3},
        "bare dvc repro, nothing to do, s": {"value": statistics.median(bare)},
        "recording a run of 5,000 robots, s": {"value": statistics.median(took), "bar": 6, "all": took},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

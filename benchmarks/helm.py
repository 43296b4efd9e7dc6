"""What Kubernetes costs: `up`, growing by one tier, and a row through a Service beside the local engine's.

It needs a cluster: `PANTHEON_TEST_KUBECONFIG`, with `kubectl` and `helm` on the PATH.
"""

import json
import os
import secrets
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.compose import BAD, timed
from benchmarks.zeus import PORTS
from pantheon.engines.ports import free_offset
from tests.support.kubernetes import GIVEN, missing

ROOT = Path(__file__).resolve().parent.parent
CLIENT = """
import http.client, json, statistics, sys, time
connection, host, took = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=10), sys.argv[3], []
for _ in range(600):
    begin = time.perf_counter()
    connection.request("POST", "/predict", sys.argv[4], {"Content-Type": "application/json", "Host": host})
    answer = connection.getresponse()
    answer.read()
    took.append(time.perf_counter() - begin)
    assert answer.status == 200, answer.status
print(statistics.median(took[75:]) * 1000)
"""  # runs on this machine and in a pod


def one_row(before: list[str], host: str, port: int, outside: int) -> float:
    """Median milliseconds of one row to ``POST /predict`` over a connection that is kept.

    Args:
        before: the command before ``python``, such as one that runs it in a pod.
        outside: the port that people use, which the page checks.
    """
    body = json.dumps({"payload": [BAD]})
    command = [*before, "python", "-c", CLIENT, host, str(port), f"127.0.0.1:{outside}", body]
    return float(subprocess.check_output(command, text=True))


def bench() -> dict[str, Any]:
    """Times in seconds, the overhead as a ratio; nothing where no cluster answers."""
    if reason := missing():
        print(f"left out: {reason}")
        return {}
    base = 4000 + free_offset([port + 4000 + hundred for port in PORTS for hundred in (0, 100)])
    local, cluster = (f"pantheon-bench-{secrets.token_hex(3)}" for _ in range(2))
    with tempfile.TemporaryDirectory() as home:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {"PANTHEON_HOME": home, "PANTHEON_TRIALS": "1", "KUBECONFIG": GIVEN}
        given: dict[str, Any] = {"cwd": ROOT, "env": env}
        own = ["--engine", "helm", "--name", cluster, "--port-offset", str(base + 100)]
        up, down = (["bin/pantheon", *words] for words in (["up", "zeus", *own], ["down", "--name", cluster]))
        pod = ["kubectl", "--kubeconfig", GIVEN, "-n", cluster, "exec", "deploy/button", "-c", "button", "--"]
        try:
            beside = ["--engine", "local", "--name", local, "--port-offset", str(base)]
            timed(["bin/pantheon", "up", "persephone", *beside], **given)
            timed(up, **given)  # brings the images, and runs
            same = timed(up, **given)
            rows = [
                (
                    one_row([], "127.0.0.1", 8080 + base, 8080 + base),
                    one_row(pod, "button", 8080, 8180 + base),
                )
                for _ in range(3)
            ]
            warm = []
            for _ in range(2):
                timed(down, **given)
                warm.append(timed(up, **given))
            growing = timed(["bin/pantheon", "up", "nemesis", *own], **given)
        finally:
            for name in (local, cluster):
                destroy = ["bin/pantheon", "destroy", "--name", name, "--confirm", "yes"]
                subprocess.run(destroy, cwd=ROOT, env=env, capture_output=True, check=False)
    return {
        "up of zeus on a cluster, images there, s": {"value": statistics.mean(warm), "bar": 120},
        "up of zeus on a cluster, already up, s": {"value": same, "bar": 10},
        "growing from zeus to nemesis, s": {"value": growing, "bar": 60},
        "one row, local, ms": {"value": statistics.median(here for here, _ in rows)},
        "one row, through a Service, ms": {"value": statistics.median(there for _, there in rows)},
        "one row, through a Service against local, ratio": {
            "value": statistics.median(there / here for here, there in rows),
            "bar": 1.3,
        },
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

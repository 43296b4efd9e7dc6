"""What containers cost: sizes of images, builds, `up`, and one-row predictions beside the local engine's."""

import contextlib
import http.client
import json
import os
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.zeus import PORTS
from pantheon.engines.compose import client
from pantheon.engines.ports import free_offset
from pantheon.errors import PantheonError
from tests.support.stand_ins import postgres_image as stand_in_postgres

ROOT = Path(__file__).resolve().parent.parent
OF_CI = "pantheon-ci"  # in the socket of the engine that .ci/docker-engine starts
BAD = {"robot-age": 5, "rust-level": "9", "battery": "low"}


def timed(command: list[str], **given: Any) -> float:
    """Wall seconds of a command that must succeed."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **given)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.perf_counter() - begin


@contextlib.contextmanager
def clone() -> Iterator[Path]:
    """A clone to change code in, with this one's environments."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "pantheon"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(made)], check=True)
        (made / ".pantheon").mkdir()
        for shared in ("envs", "uv"):
            (made / ".pantheon" / shared).symlink_to(ROOT / ".pantheon" / shared)
        yield made


def one_row(ports: list[int], kept: bool, repeats: int = 600) -> list[float]:
    """Median milliseconds of one row to ``POST /predict`` at each port, asked in turns on the same machine.

    Args:
        kept: over one connection each, as services call each other; else a new one for every request.
    """
    body = json.dumps({"payload": [BAD]}).encode()
    connections = {port: http.client.HTTPConnection("127.0.0.1", port, timeout=10) for port in ports}
    took: dict[int, list[float]] = {port: [] for port in ports}
    for _ in range(repeats):
        for port, connection in connections.items():
            if not kept:
                connection.close()
            begin = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            took[port].append(time.perf_counter() - begin)
            if answer.status != 200:
                raise RuntimeError(f"port {port} answered {answer.status}")
    return [statistics.median(took[port][repeats // 8 :]) * 1000 for port in ports]


def build_times(tree: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds to build all images, and after a change of our code. Only CI's engine loses its build cache before."""
    if OF_CI in env["DOCKER_HOST"]:
        subprocess.run(["docker", "buildx", "prune", "--all", "--force"], env=env, check=True, capture_output=True)
    marker = tree / "pantheon" / "__init__.py"
    text = marker.read_text()
    marker.write_text(f"{text}\n# {secrets.token_hex(8)}\n")
    first = timed(["bin/pantheon", "images"], cwd=tree, env=env)
    marker.write_text(f"{text}\n# {secrets.token_hex(8)}\n")
    return first, timed(["bin/pantheon", "images"], cwd=tree, env=env)


def postgres_image(host: str) -> str:
    """PostgreSQL's image: the user's own, the official one, or the tests' stand-in where no registry can be reached."""
    named = os.environ.get("POSTGRES_IMAGE", "postgres:18")
    environment = os.environ | {"DOCKER_HOST": host}
    for words in (["image", "inspect", named], ["pull", "--quiet", named]):
        if subprocess.run(["docker", *words], env=environment, capture_output=True, check=False).returncode == 0:
            return named
    return stand_in_postgres.build(host)


def stored(api: client.Api, images: list[str]) -> float:
    """MB (10^6 bytes) of all layers of ``images``, each counted once."""
    steps = [step for image in images for step in api.ask(f"/images/{image}/history")]
    built = {(step["Created"], step["CreatedBy"], step["Size"]) for step in steps}  # the same time: the same layer
    return sum(size for _, _, size in built) / 1e6


def warm_up(tier: str, name: str, offset: int, given: dict[str, Any]) -> tuple[float, float]:
    """Seconds of ``up`` from ``down``, the median of three, and of ``up`` on what is up; images and state are there."""
    own = ["--engine", "compose", "--name", name, "--port-offset", str(offset), "--no-run"]
    up, down = (["bin/pantheon", *words, *own[2:4]] for words in (["up", tier, *own[:2], *own[4:]], ["down"]))
    timed(up, **given)
    same = timed(up, **given)
    warm = []
    for _ in range(3):
        timed(down, **given)
        warm.append(timed(up, **given))
    return statistics.median(warm), same


def bench() -> dict[str, Any]:
    """Sizes in MB, times in seconds, the overhead as a ratio; nothing where no Docker engine answers."""
    try:
        engine = client.find(os.environ)
    except PantheonError as error:
        print(f"left out: {error.cause}")
        return {}
    base = 3000 + free_offset([port + 3000 + hundred for port in PORTS for hundred in (0, 100, 200)])
    names = {kind: f"pantheon-bench-{kind}-{secrets.token_hex(3)}" for kind in ("local", "compose", "zeus")}
    with clone() as tree:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {"DOCKER_HOST": engine.host, "PANTHEON_TRIALS": "2", "POSTGRES_IMAGE": postgres_image(engine.host)}
        first, again = build_times(tree, env)
        found = json.loads(subprocess.check_output(["bin/pantheon", "images", "--json"], cwd=tree, env=env))
        sizes = {each["image"].partition(":")[0]: each["size"] / 1e6 for each in found}
        together = stored(client.Api(engine.host), [each["image"] for each in found])
        try:
            for number, (kind, name) in enumerate(list(names.items())[:2]):
                own = ["--engine", kind, "--name", name, "--port-offset", str(base + 100 * number)]
                timed(["bin/pantheon", "up", "persephone", *own], cwd=tree, env=env)
            ports = [8080 + base, 8180 + base]
            kept = [one_row(ports, kept=True) for _ in range(3)]
            fresh = [one_row(ports, kept=False) for _ in range(3)]
            given = {"cwd": tree, "env": env}
            warm, same = warm_up("persephone", names["compose"], base + 100, given)
            zeus, zeus_same = warm_up("zeus", names["zeus"], base + 200, given)
        finally:
            for name in names.values():
                destroy = ["bin/pantheon", "destroy", "--name", name, "--confirm", "yes"]
                subprocess.run(destroy, cwd=tree, env=env, capture_output=True, check=False)
    return {
        **{f"image {image}, MB": {"value": size} for image, size in sizes.items()},
        "all images on disk, MB": {"value": together},
        **({"first build of all images, s": {"value": first}} if OF_CI in engine.host else {}),
        "rebuild of all images after a code change, s": {"value": again, "bar": 10},
        "up in containers, images there, s": {"value": warm, "bar": 10},
        "up in containers, already up, s": {"value": same, "bar": 2.5},
        "up of zeus in containers, images there, s": {"value": zeus, "bar": 60},
        "up of zeus in containers, already up, s": {"value": zeus_same, "bar": 2.5},
        "one row, local, ms": {"value": statistics.median(local for local, _ in kept)},
        "one row, containers, ms": {"value": statistics.median(inside for _, inside in kept)},
        "one row, containers against local, ratio": {
            "value": statistics.median(inside / local for local, inside in kept),
            "bar": 1.3,
        },
        "the same with a new connection for each request, ratio": {
            "value": statistics.median(inside / local for local, inside in fresh)
        },
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

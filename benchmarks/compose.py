"""What containers cost: sizes of images, builds, `up`, and one-row predictions beside the local engine's."""

import contextlib
import json
import os
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pantheon.engines import docker_api
from pantheon.engines.ports import free_offset

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("serving", "workflow")
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


def one_row(port: int, repeats: int = 400) -> float:
    """Median milliseconds of one row to ``POST /predict``, one request after another over fresh connections."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        json.dumps({"payload": [BAD]}).encode(),
        {"Content-Type": "application/json"},
    )
    took = []
    for _ in range(repeats):
        begin = time.perf_counter()
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
        took.append(time.perf_counter() - begin)
    return statistics.median(took[repeats // 8 :]) * 1000


def build_times(tree: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds to build all images with no layer in the cache, and after a change of our code."""
    subprocess.run(["docker", "buildx", "prune", "--all", "--force"], env=env, check=True, capture_output=True)
    for name in NAMES:
        subprocess.run(
            ["docker", "image", "rm", "-f", f"pantheon/{name}:dev"], env=env, check=False, capture_output=True
        )
    marker = tree / "pantheon" / "__init__.py"
    text = marker.read_text()
    marker.write_text(f"{text}\n# {secrets.token_hex(8)}\n")
    first = timed(["bin/pantheon", "images"], cwd=tree, env=env)
    marker.write_text(f"{text}\n# {secrets.token_hex(8)}\n")
    return first, timed(["bin/pantheon", "images"], cwd=tree, env=env)


def bench() -> dict[str, Any]:
    """Sizes in MB, times in seconds, the overhead as a ratio. Needs a Docker engine; its build cache is emptied."""
    engine = docker_api.find(os.environ)
    name, offset = f"pantheon-bench-{secrets.token_hex(3)}", free_offset([8080])
    with clone() as tree:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        env |= {
            "DOCKER_HOST": engine.host,
            "PANTHEON_NAME": name,
            "PANTHEON_PORT_OFFSET": str(offset),
            "PANTHEON_TRIALS": "2",
        }
        first, again = build_times(tree, env)
        found = json.loads(subprocess.check_output(["bin/pantheon", "images", "--json"], cwd=tree, env=env))
        sizes = {each["image"].partition(":")[0]: each["size"] / 1e6 for each in found}
        up = ["bin/pantheon", "up", "persephone"]
        try:
            timed([*up, "--engine", "local"], cwd=tree, env=env)
            warm, ratios = [], []
            for _ in range(3):
                timed([*up, "--engine", "local"], cwd=tree, env=env)
                local = one_row(8080 + offset)
                timed([*up, "--engine", "compose"], cwd=tree, env=env)
                ratios.append(one_row(8080 + offset) / local)
                timed(["bin/pantheon", "down"], cwd=tree, env=env)
                warm.append(timed(up, cwd=tree, env=env))
            same = timed(up, cwd=tree, env=env)
        finally:
            subprocess.run(
                ["bin/pantheon", "destroy", "--confirm", "yes"], cwd=tree, env=env, capture_output=True, check=False
            )
            shutil.rmtree(tree / ".pantheon" / name, ignore_errors=True)
    return {
        **{f"image {image}, MB": {"value": size} for image, size in sizes.items()},
        "first build of all images, s": {"value": first},
        "rebuild of all images after a code change, s": {"value": again, "bar": 10},
        "up in containers, images there, s": {"value": statistics.median(warm), "bar": 10},
        "up in containers, already up, s": {"value": same, "bar": 2.5},
        "one row, containers against local, ratio": {"value": statistics.median(ratios), "bar": 1.3},
    }


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

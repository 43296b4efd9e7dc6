"""How soon a moved alias takes effect, while clients ask: from moving it to the first answer of the new version."""

import json
import shutil
import statistics
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.peers.servers import Server, endpoint, running
from benchmarks.serving import load
from pantheon.store import FolderStore

CLIENTS, SECONDS, MOVES = 16, 20, 8
LIMIT_SECONDS = 30.0  # for one move
PAUSE_SECONDS = 0.005  # between two looks


def seconds(state: Path, scratch: Path) -> tuple[list[float], float]:
    """Move the champion back and forth between two versions under load.

    Returns:
        The seconds of each move, and how many requests were not answered with 200.
    """
    store = FolderStore(state / "models")
    bundle = scratch / "swapped-bundle"  # without what the store adds
    shutil.copytree(store.get("robots", "1"), bundle, ignore=shutil.ignore_patterns("manifest.json"))
    versions = ("1", store.publish("robots", bundle, {}))
    body = scratch / "swapping.json"
    with running(endpoint(state, key="swapping"), scratch / "swapping.log") as server, ThreadPoolExecutor(1) as other:
        body.write_text(json.dumps(server.body(1)))
        loading = other.submit(load, server, CLIENTS, body, SECONDS, strict=False)
        found = [move(store, versions[(number + 1) % 2], server) for number in range(MOVES)]
        if loading.done():
            raise RuntimeError(f"{MOVES} moves of the alias took longer than the load of {SECONDS} s: {found}")
        return found, loading.result()["wrong"]


def move(store: FolderStore, version: str, server: Server) -> float:
    """Promote ``version``; return the seconds until it answers."""
    began = time.monotonic()
    store.promote("robots", version)
    while answering(server) != version:
        if time.monotonic() - began > LIMIT_SECONDS:
            raise RuntimeError(f"version {version} does not answer after {LIMIT_SECONDS:g} s")
        time.sleep(PAUSE_SECONDS)
    return time.monotonic() - began


def answering(server: Server) -> str:
    """Return the version that answers a request."""
    headers = {"Content-Type": "application/json", "Authorization": server.authorization}
    request = urllib.request.Request(server.url, json.dumps(server.body(1)).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        return str(answer.headers["x-model-version"])


def figures(state: Path, scratch: Path) -> dict[str, dict[str, float]]:
    """Return the figures with their bars."""
    moves, wrong = seconds(state, scratch)
    return {
        "a moved alias, 16 clients, to the first answer, median s": {"value": statistics.median(moves)},
        "a moved alias, 16 clients, to the first answer, longest s": {"value": max(moves), "bar": 2},
        "a moved alias, 16 clients, requests not answered with 200": {"value": wrong, "bar": 0},
    }

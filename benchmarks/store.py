"""The model store in S3 against bare boto3, on a local SeaweedFS: publish, get, look at an alias, memory under load."""

import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from pantheon.store.s3.store import S3Store
from tests.support.s3_servers import weed

# A bundle as the tutorial's runs leave it: bytes of each file.
FILES = {
    **{"model.onnx": 180_000, "signature.json": 1_400, "metrics.json": 6_000, "card.md": 4_000, "lineage.json": 1_500},
    **{f"plots/{name}.svg": 24_000 for name in ("calibration", "roc", "precision_recall", "confusion", "importance")},
}


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def bench(repeats: int = 21) -> dict[str, Any]:
    """Milliseconds, medians, ours and bare boto3 in turns; megabytes (PSS) of SeaweedFS at its most."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "bundle"
        for file, size in FILES.items():
            (bundle / file).parent.mkdir(parents=True, exist_ok=True)
            (bundle / file).write_bytes(os.urandom(size))
        with weed(folder) as server:
            assert server.process is not None
            client, bucket = server.bare_client(), server.bucket()

            def opened(cache: str) -> S3Store:
                return server.store(folder / cache, bucket)

            def bare(number: int) -> None:
                for file in FILES:
                    client.put_object(Bucket=bucket, Key=f"bare/{number}/{file}", Body=(bundle / file).read_bytes())

            store = opened("cache")
            bare(0)
            store.promote("robots", store.publish("robots", bundle, {}))
            ours, theirs = [], []
            for number in range(1, repeats + 1):
                theirs.append(timed(lambda number=number: bare(number)))
                ours.append(timed(lambda: store.publish("robots", bundle, {"run": "bench"})))
            looks = [timed(lambda: store.alias("robots")) for _ in range(repeats)]
            swaps = [timed(lambda n=n: store.promote("robots", str(1 + n % 2))) for n in range(repeats)]
            fresh = [timed(lambda n=n: opened(f"fresh-{n}").get("robots", "1")) for n in range(repeats)]
            again = [timed(lambda: store.get("robots", "1")) for _ in range(repeats)]
            most = under_load(psutil.Process(server.process.pid), lambda n: opened(f"load-{n}"), bundle)
    figures = {name: statistics.median(values) for name, values in (("ours", ours), ("theirs", theirs))}
    return {
        "publish a bundle to S3 over bare boto3 puts, ms": {
            "value": figures["ours"] - figures["theirs"],
            "bar": 150,
            "publish": figures["ours"],
            "bare": figures["theirs"],
        },
        "look at an alias in S3, ms": {"value": statistics.median(looks), "bar": 20},
        "promote in S3, ms": {"value": statistics.median(swaps)},
        "get a bundle from S3, ms": {"value": statistics.median(fresh)},
        "get a bundle that is here already, verified, ms": {"value": statistics.median(again)},
        "SeaweedFS under load, MB PSS": {"value": most, "bar": 260},
    }


def under_load(process: psutil.Process, opened: Callable[[int], S3Store], bundle: Path, seconds: float = 20) -> float:
    """The most memory of SeaweedFS while eight publish, read and delete, and 20 MB files go up and down."""
    large = bundle.parent / "large"
    large.mkdir()
    (large / "data.bin").write_bytes(os.urandom(20_000_000))
    end = threading.Event()

    def work(number: int) -> None:
        store, model = opened(number), f"model-{number}"
        while not end.is_set():
            version = store.publish(model, large if number < 2 else bundle, {})
            store.verify(model, version)
            if int(version) > 3:
                store.remove(model, str(int(version) - 3))

    most = 0.0
    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        begin = time.monotonic()
        while time.monotonic() - begin < seconds and not any(each.done() for each in working):
            most = max(most, process.memory_full_info().pss / 1e6)
            end.wait(0.25)
        end.set()
    for each in working:
        each.result()
    return most


if __name__ == "__main__":
    print(json.dumps(bench(), indent=1))

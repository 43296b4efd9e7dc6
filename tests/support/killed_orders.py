"""Carry an order out, and be killed (SIGKILL) just before the n-th change of a file: every line of the input names a
deployment's folder and n; the answer is a line with how the process ended.

    python -m tests.support.killed_orders

Repositories are folders that are copied, and the pipeline is a file; everything else is real.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pantheon.dashboard.carrying import Carrier, Prepared, Progress
from pantheon.dashboard.orders import Orders, Placed, read_order
from pantheon.dashboard.sources import Fetcher, Source
from pantheon.dashboard.taking import FOLDER, Asked, make
from pantheon.files import write_once
from pantheon.workflow.run import Run
from tests.support.killing import killed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RUN = "20260131-142500-0a1b"
ORDER = {
    "name": "mine",
    "model": {"url": "https://git.example.com/model.git", "commit": COMMIT},
    "data": {"url": "https://git.example.com/data.git", "commit": COMMIT, "path": "rows.csv", "spec": "rows.toml"},
}
SPEC = """name = "rows"
task = "regression"

[source]
kind = "file"
path = "rows.csv"

[target]
column = "price"

[[columns]]
name = "rooms"
type = "integer"

[[columns]]
name = "price"
type = "number"
role = "target"
"""


class Copied(Fetcher):
    """Has every repository, without git."""

    def reachable(self, source: Source) -> None:
        pass

    def fetch(self, source: Source, folder: Path) -> str:
        (folder / ".git").mkdir()
        (folder / "params.yaml").write_text("train: {trials: 3, seed: 1}\n")
        (folder / "extensions").mkdir()
        (folder / "extensions" / "own.py").write_text("# ours\n")
        (folder / "rows.csv").write_text("rooms,price\n1,2\n")
        (folder / "rows.toml").write_text(SPEC)
        return COMMIT


@dataclass
class Pipeline:
    """Makes the order's run, and records that it was started; it has ended when it is asked."""

    state: Path

    def start(self, prepared: Prepared) -> str:
        placed = prepared.placed
        order = {
            "id": placed.id, "by": placed.by, "model_repository": "", "model_commit": "", "data_repository": "",
            "data_commit": "", "data_path": "rows.csv",
        }  # fmt: skip
        asked = {
            "run": RUN, "name": placed.order.model_name, "tier": "kraken", "file": str(prepared.data),
            "spec": str(prepared.spec), "target": "", "extensions": str(prepared.model / "extensions"),
            "params": asdict(prepared.params),
        }  # fmt: skip
        make(self.state, Asked(**asked, order=order))  # type: ignore[arg-type]
        write_once(self.state / "started" / placed.id, b"")
        return f"order-{placed.id}"

    def progress(self, placed: Placed) -> Progress:
        return Progress(said="done", ended=True, result={"version": "v1", "run": Run(self.state / "runs" / RUN).id})

    def clear(self, placed: Placed) -> None:
        for path in (self.state / "data" / FOLDER).glob(f"{placed.id}*"):
            path.unlink(missing_ok=True)


def orders_of(state: Path) -> Orders:
    return Orders(state / "orders")


def work(state: Path) -> None:
    """Place the order, if it is not placed, and carry it out."""
    orders = orders_of(state)
    placed, _ = orders.place("key", "ada", read_order(json.dumps(ORDER).encode()))
    Carrier(orders, Copied(state / "secrets", state / "home"), Pipeline(state)).carry_out(placed.id)


def main() -> None:
    for line in sys.stdin:
        state, step = line.split()
        print(killed(work, Path(state), int(step)), flush=True)


if __name__ == "__main__":
    main()

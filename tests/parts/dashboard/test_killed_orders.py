"""An order that is killed (SIGKILL) before any change of a file is carried out once when it goes on."""

import subprocess
import sys
from pathlib import Path

from pantheon.workflow.run import Run
from tests.support import ROOT
from tests.support.killed_orders import RUN, orders_of, work


def test_an_order_goes_on_after_a_kill_before_any_change_of_a_file(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.killed_orders"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin and process.stdout
    step, ended = 0, -9
    while ended == -9:
        step += 1
        state = tmp_path / str(step)
        state.mkdir()
        process.stdin.write(f"{state} {step}\n")
        process.stdin.flush()
        ended = int(process.stdout.readline())
        work(state)
        check(state)
    process.stdin.close()
    assert process.wait(30) == 0 and ended == 0
    assert step > 15, "it was killed at many points"


def check(state: Path) -> None:
    """The order is done, with one complete run and nothing left."""
    orders = orders_of(state)
    ((placed, record),) = orders.all()
    assert (record.state, record.result["version"], record.result["by"]) == ("done", "v1", "ada")
    assert [path.name for path in (state / "started").glob("[!.]*")] == [placed.id]
    (folder,) = [path for path in (state / "runs").iterdir() if not path.name.startswith(".")]
    run = Run(folder)
    assert (run.id, run.record.dataset, run.params.seed) == (RUN, "mine", 1)
    assert run.order and run.order["id"] == placed.id
    assert [path.name for path in run.extensions.iterdir()] == ["own.py"]
    assert f'path = "orders/{placed.id}.csv"' in (folder / "spec.toml").read_text()
    assert not (orders.folder / placed.id / "sources").exists()
    assert not list((state / "data" / "orders").glob("[!.]*"))

"""One damaged run does not hide the others: it is listed with the file that is damaged and a cure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pantheon import inside
from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.state import StageRecord
from pantheon.workflow.run import Params, Run
from serving.page.views import runs as shown
from serving.state import State

STAGE = "stages/load_data.json"


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no request": ("run.json", Path.unlink),
    "an empty request": ("run.json", lambda path: path.write_bytes(b"")),
    "a request of zeros": ("run.json", lambda path: path.write_bytes(bytes(64))),
    "a request that is not UTF-8": ("run.json", lambda path: path.write_bytes(b'{"id": "\xff"}')),
    "a request of another type": ("run.json", lambda path: path.write_text("[]")),
    "a nested request": ("run.json", lambda path: path.write_text("[" * 100_000)),
    "a folder for a request": ("run.json", into_folder),
    "a truncated stage": (STAGE, lambda path: path.write_bytes(path.read_bytes()[:-9])),
    "an outcome of another type": ("outcome.json", lambda path: path.write_text('{"decision": 3}')),
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for _ in range(3):
        run = Run.create(tmp_path, "", "robots", Params(), tier="persephone", runner="script")
        run.mark(StageRecord("load_data", "done", seconds=1.0))
        decision = {"decision": "refused", "model": "robots", "version": None, "reason": "worse"}
        write_json(run.path("outcome.json"), decision)
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_listed_with_its_file_and_a_cure(state: Path, damage: str) -> None:
    name, make = DAMAGES[damage]
    _, broken, _ = Run.all(state)
    make(broken.path(name))
    listed = json.loads(json.dumps(inside.answer(state, "runs", {}, called="/home/me/d")))
    assert [run["state"] for run in listed] == ["done", "damaged", "done"]
    assert f"/home/me/d/runs/{broken.id}/{name}" in listed[1]["reason"]
    assert f"`rm -r /home/me/d/runs/{broken.id}`" in listed[1]["reason"]
    with pytest.raises(PantheonError, match="Restore it from a backup, or delete the run"):
        _ = broken.record, broken.records(), broken.outcome


def test_the_page_shows_a_damaged_run_among_the_others(state: Path) -> None:
    _, broken, _ = Run.all(state)
    broken.path("run.json").write_text("{")
    assert [run["state"] for run in shown(State(state))] == ["refused", "damaged", "refused"]
    assert shown(State(state))[1]["why"].startswith(f"runs/{broken.id}/run.json is damaged: ")


def test_a_file_in_the_place_of_a_run_is_listed_as_damaged(state: Path) -> None:
    (state / "runs" / "20260101-000000-abcd").write_text("")
    assert [run["state"] for run in inside.answer(state, "runs", {})] == ["done", "done", "done", "damaged"]

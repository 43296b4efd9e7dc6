"""The queue of shadows, bounded, and what their process does with a copy of a request."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pantheon.predictions.records import Answered
from serving.inference import shadowing, shadows
from serving.inference.forms import Asked
from serving.inference.journal import Origin
from serving.inference.metrics import Metrics
from serving.inference.shadowing import Shadowing
from serving.inference.shadows import Copy, Shadows, unpack
from serving.model.predictor import Answer
from serving.problems import Problem

PREDICTOR: Any = SimpleNamespace(folder=Path("/models/robots/2"), model="robots", version="2", since="")


class Journal:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[tuple[Answered, bytes, bytes]] = []

    def write(self, *written: Any) -> bool:
        self.written.append(written)
        return True


def copy(version: str = "2") -> Copy:
    return Copy("/models/robots/2", "robots", version, "", Origin(f"id-{version}", "shop"), Asked([{"a": 1}]))


def refuse(*_: Any) -> Any:
    raise Problem(422, "no finite answer")


def working(predict: dict[str, Any]) -> tuple[Shadowing, Journal, list[str]]:
    """The work, with a function that predicts for each version, what it logs, and which versions it opened."""
    journal: Any = Journal()
    opened: list[str] = []

    def open_(folder: Path, model: str, version: str, since: str) -> Any:
        opened.append(version)
        return SimpleNamespace(predict=predict[version], features=None, model=model, version=version)

    return Shadowing(journal, Metrics(), opened=open_), journal, opened


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "MOST_WAITING", 2)
    metrics = Metrics()
    queue = Shadows(metrics)
    for rows in ([{}], [{}] * 101, [{}], [{}]):
        queue.add(PREDICTOR, Origin("id", "shop"), Asked(rows))
    assert metrics.events["shadow dropped"] == 2


@pytest.mark.parametrize("value", [1 << 70, "half \ud800"])
def test_values_that_cannot_be_sent_are_dropped_and_counted_alone(value: Any) -> None:
    metrics = Metrics()
    copies = [copy("1"), Copy("", "robots", "2", "", Origin("id", ""), Asked([{"a": value}])), copy("3")]
    assert unpack(Shadows(metrics)._packed(copies)) == [copy("1"), copy("3")]
    assert metrics.events["shadow dropped"] == 1


def test_each_copy_is_logged_alone_and_a_fault_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work, journal, opened = working(
        {"1": lambda *_: Answer([1], None), "2": refuse, "3": lambda *_: 1 / 0, "4": lambda *_: Answer([0], None)}
    )
    counted = work.work([copy(each) for each in "1234"])
    assert counted == {"shadow answered": 2, "shadow refused": 1, "shadow failed": 1}
    assert "ZeroDivisionError" in capsys.readouterr().err
    records = [
        (each.id, each.version, each.status, each.error, each.shadow, each.key) for each, _, _ in journal.written
    ]
    assert records == [
        ("id-1", "1", 200, "", True, "shop"),
        ("id-2", "2", 422, "no finite answer", True, "shop"),
        ("id-4", "4", 200, "", True, "shop"),
    ]
    assert [(rows, answer) for _, rows, answer in journal.written][:2] == [
        (b'[{"a":1}]', b'{"prediction":[1]}'),
        (b'[{"a":1}]', b""),
    ]
    assert work.work([copy("1")]) == {"shadow answered": 1}, "only what is new is counted"
    assert opened == ["1", "2", "3", "4"], "each version is opened once"


def test_a_version_that_is_no_shadow_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    work, _, opened = working({"1": lambda *_: Answer([1], None)})
    monkeypatch.setattr(shadowing, "KEPT_SECONDS", -1.0)
    work.work([copy("1")])
    work.work([copy("1")])
    assert opened == ["1", "1"]

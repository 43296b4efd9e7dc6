"""The queue of shadows: bounded, and never in a request's way."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from serving.inference import shadows
from serving.inference.forms import Asked
from serving.inference.metrics import Metrics
from serving.inference.shadows import Result, Shadows
from serving.model.predictor import Answer
from serving.problems import Problem


def predictor(predict: Any) -> Any:
    return SimpleNamespace(predict=predict)


def refuse(*_: Any) -> Any:
    raise Problem(422, "no finite answer")


@pytest.mark.parametrize(
    ("predict", "status", "answered"), [(lambda *_: Answer([1], None), 200, True), (refuse, 422, False)]
)
def test_results_of_shadows(predict: Any, status: int, answered: bool) -> None:
    found: list[Result] = []
    queue = Shadows(Metrics())
    queue.add(predictor(predict), Asked([{}]), lambda asked, result: found.append(result))
    assert not found, "nothing happens in the request's thread"
    queue.start()
    queue.stop()
    assert [(result.status, result.answer is not None) for result in found] == [(status, answered)]


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "MOST_WAITING", 2)
    metrics = Metrics()
    queue = Shadows(metrics)
    for rows in ([{}], [{}] * 101, [{}], [{}]):
        queue.add(predictor(refuse), Asked(rows), lambda *_: None)
    assert metrics.events["shadow dropped"] == 2


def test_a_fault_ends_no_thread(capsys: pytest.CaptureFixture[str]) -> None:
    done = threading.Event()
    queue = Shadows(Metrics())
    queue.add(predictor(lambda *_: 1 / 0), Asked([{}]), lambda *_: None)
    queue.add(predictor(lambda *_: Answer([1], None)), Asked([{}]), lambda *_: done.set())
    queue.start()
    assert done.wait(60)
    queue.stop()
    assert "ZeroDivisionError" in capsys.readouterr().err

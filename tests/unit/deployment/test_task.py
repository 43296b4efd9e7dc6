"""Code in a task can write anything to its output: a command reports that in one sentence."""

from typing import Any, cast

import pytest

from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError


class Saying:
    """An engine whose task says these lines and succeeds."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def run_task(self, service: str, command: list[str], *, on_output: Any, **more: Any) -> int:
        for line in self.lines:
            on_output(line)
        return 0


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "error"}',
        '{"event": "error", "cause": 1, "cure": [], "status": "many"}',
        '{"event": "stage"}',
        '{"event": "stage", "stage": ["a"], "state": {}}',
        '{"event": "stage", "stage": "load_data", "state": "done", "seconds": "long"}',
    ],
)
def test_an_event_with_wrong_values_is_an_error_in_one_sentence(line: str) -> None:
    def show(event: dict[str, Any]) -> None:
        print(f"{event['seconds']:.1f}")

    with pytest.raises(PantheonError, match="reported an event that this command does not understand"):
        Task(cast(Engine, Saying(line)))([], show)


@pytest.mark.parametrize("line", ["[" * 100_000, '["event"]', '{"event": "stage"', "\x00", "7", '{"other": 1}'])
def test_other_output_is_not_an_event(line: str) -> None:
    Task(cast(Engine, Saying(line)))([], lambda event: pytest.fail(f"{event}"))

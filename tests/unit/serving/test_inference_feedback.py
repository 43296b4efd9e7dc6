"""Feedback as it is sent: what is accepted, and what is refused with its field."""

import json
import time
from typing import Any

import pytest

from serving.inference import feedback
from serving.problems import Problem

ID = "019ac8f0-7c3b-7def-8123-456789abcdef"


def read(**given: Any) -> feedback.Said:
    return feedback.read(json.dumps({"id": ID} | given).encode())


def test_what_may_be_said() -> None:
    assert read(correct=False).correct is False
    assert read(value=1).value == 1
    assert read(comment="late").comment == "late"
    assert read(id=ID.upper(), correct=True).id == ID
    assert read(correct=True, row=9_999).row == 9_999
    assert read(correct=True, at="2026-03-01T12:30:00Z").moment == read(correct=True, at="2026-03-01 12:30").moment
    assert read(correct=True).moment == pytest.approx(time.time() * 1e6, abs=60e6)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": "1", "correct": True}, "id"),
        ({"id": "9b2f8f0e-1f1c-4a51-9f56-2b4ad2a0b2a1", "correct": True}, "id"),  # version 4
        ({"correct": True, "row": -1}, "row"),
        ({"correct": True, "row": 10_000}, "row"),
        ({"comment": "x" * 2_001}, "comment"),
        ({"value": [1]}, "value"),
        ({}, None),
        ({"comment": "  "}, None),
        ({"correct": "yes"}, None),
        ({"correct": True, "more": 1}, None),
        ({"correct": True, "row": 1.5}, None),
        ({"correct": True, "at": "yesterday"}, "at"),
        ({"correct": True, "at": "2999-01-01"}, "at"),
    ],
)
def test_what_is_refused(given: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Problem) as refused:
        read(**given)
    assert (refused.value.status, refused.value.field) == (422, field)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{" * 2_000])
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        feedback.read(body)
    assert refused.value.status == 400

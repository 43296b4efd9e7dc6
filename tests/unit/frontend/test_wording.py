"""The front end's words, for any model."""

from typing import Any

import pytest

from serving.frontend.wording import label, number, percent, question, singular, sure


def signature(name: str, output: str, classes: list[Any] | None = None, **labels: str) -> dict[str, Any]:
    return {"name": name, "output": {"name": output, "classes": classes, "labels": labels}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            signature("robots", "condition", [0, 1], **{"0": "Bad Condition", "1": "Good Condition"}),
            "Is my robot in bad condition?",
        ),
        (signature("breast_cancer", "diagnosis", ["benign", "malignant"]), "Breast cancer: benign or malignant?"),
        (signature("wine", "cultivar", [0, 1, 2], **{"0": "A", "1": "B", "2": "C"}), "Wine: A, B or C?"),
        (signature("digits", "digit", list(range(10))), "Digits: which digit?"),
        (signature("diabetes", "progression"), "Diabetes: what will the progression be?"),
        (signature("churn", "has_left", [0, 1]), "Churn: has left 0 or 1?"),
        (signature("one", "class", ["only"]), "One: only?"),
    ],
)
def test_the_question_follows_from_the_signature(given: dict[str, Any], expected: str) -> None:
    assert question(given) == expected


def test_labels_are_found_by_the_class_as_text() -> None:
    output = {"labels": {"0": "Bad Condition", "true": "Yes"}}
    assert [label(output, value) for value in (0, "0", True, 7)] == ["Bad Condition", "Bad Condition", "Yes", "7"]


def test_numbers_and_shares_read_well() -> None:
    assert [number(value) for value in (1234567, 0.123456, 16.97, 123456.7)] == [
        "1,234,567",
        "0.1235",
        "16.97",
        "123,457",
    ]
    assert [percent(share) for share in (1.0, 0.0, 0.5, 0.995)] == ["> 99.9 %", "< 0.1 %", "50 %", "99.5 %"]
    assert [singular(noun) for noun in ("robots", "glass", "status", "diagnosis")] == [
        "robot",
        "glass",
        "status",
        "diagnosis",
    ]
    assert "not very confident" in sure(0.7, 2)
    assert "almost equally likely" in sure(0.51, 2)
    assert "nearly all" in sure(0.999, 2)

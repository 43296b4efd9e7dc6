"""What the form with feedback becomes, and the files in which it waits."""

from pathlib import Path
from typing import Any

import pytest

from serving.frontend.answer import answer
from serving.frontend.app import choices, feedback
from serving.frontend.client import Away, Refused, Reply
from serving.frontend.outbox import Full, Outbox
from tests.support.bundles import ROBOTS, signature

ID = "01a225fd-653c-7000-9a26-efbada6feb26"
SIGNATURE = signature(ROBOTS)
SHOWN = answer(SIGNATURE, Reply(ID, "1", 0, None, []), {})


def test_yes_and_no_about_two_classes() -> None:
    assert feedback(SIGNATURE, SHOWN, {"id": ID, "correct": "yes"}) == {
        "id": ID,
        "row": 0,
        "correct": True,
        "comment": "",
    }
    said = feedback(SIGNATURE, SHOWN, {"id": ID, "correct": "no", "comment": " It\r\nworks. "})
    assert said == {"id": ID, "row": 0, "correct": False, "comment": "It\nworks.", "value": 1}
    assert "value" not in feedback(SIGNATURE, None, {"id": ID, "correct": "no"})


def test_what_it_really_was() -> None:
    three = signature(ROBOTS, classes=["red", "white", "rosé"], labels={})
    assert choices(three) == [("0", "red"), ("1", "white"), ("2", "rosé")]
    assert choices(SIGNATURE) == []
    assert feedback(three, SHOWN, {"id": ID, "correct": "no", "value": "2"})["value"] == "rosé"
    hours = signature(ROBOTS, "regression")
    assert feedback(hours, SHOWN, {"id": ID, "correct": "no", "value": "3,5"})["value"] == 3.5


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"id": "nobody", "correct": "yes"},
        {"id": ID},
        {"id": ID, "correct": "maybe"},
        {"id": ID, "correct": "yes", "comment": "x" * 2001},
        {"id": ID, "correct": "yes", "value": "2"},
        {"id": ID, "correct": "yes", "value": "-1"},
        {"id": ID, "correct": "yes", "value": "²"},
    ],
)
def test_what_is_not_feedback_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(Refused):
        feedback(SIGNATURE, SHOWN, form)


@pytest.mark.parametrize("value", ["nan", "inf", "much", "1e999"])
def test_a_true_number_is_finite(value: str) -> None:
    with pytest.raises(Refused):
        feedback(signature(ROBOTS, "regression"), SHOWN, {"id": ID, "correct": "no", "value": value})


class Listener:
    """Stands in for the endpoint's client: notes what it is told, and answers as it should."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.away, self.error = "", None  # type: ignore[var-annotated]

    def say(self, said: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.told.append(said)


def outbox(folder: Path) -> tuple[Outbox, Listener]:
    listener = Listener()
    return Outbox(folder, listener), listener  # type: ignore[arg-type]


def test_feedback_is_delivered_in_order_and_then_gone(tmp_path: Path) -> None:
    box, listener = outbox(tmp_path / "box")
    for number in range(12):
        box.put({"id": ID, "row": number})
    assert not box.delivered(ID)
    files = list((tmp_path / "box").glob("*.json"))
    assert len(files) == 12
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    box.deliver()
    assert [said["row"] for said in listener.told] == list(range(12))
    assert box.delivered(ID)
    assert not list((tmp_path / "box").glob("*.json"))


def test_it_stays_while_the_endpoint_is_away_also_for_the_next_process(tmp_path: Path) -> None:
    box, listener = outbox(tmp_path)
    listener.error = Away("later")
    box.put({"id": ID})
    box.deliver()
    assert not box.delivered(ID)
    following, listener = outbox(tmp_path)
    following.deliver()
    assert listener.told == [{"id": ID}]


def test_refused_and_damaged_feedback_does_not_hold_up_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box, listener = outbox(tmp_path)
    listener.error = Refused("It says nothing.")
    box.put({"id": ID, "comment": "of a person"})
    box.deliver()
    listener.error = None
    (tmp_path / "0.json").write_text("{")
    box.put({"id": ID})
    box.deliver()
    assert listener.told == [{"id": ID}]
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["0.damaged"]
    said = capsys.readouterr().err
    assert "It says nothing." in said and "of a person" not in said


def test_what_cannot_be_written_is_not_promised(tmp_path: Path) -> None:
    box, _ = outbox(tmp_path / "box")
    (tmp_path / "box").rmdir()
    with pytest.raises(Full, match="cannot be kept"):
        box.put({"id": ID})
    assert box.delivered(ID)

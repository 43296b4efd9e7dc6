"""The form that is made from a signature, and the row that is made from the form."""

from typing import Any

from serving.frontend.client import Refused
from serving.frontend.form import Control, controls, entered, row
from tests.support.bundles import AS_FILE, EVERY_TYPE, ROBOTS, TEXT, signature


def by_name(inputs: list[dict[str, Any]], **given: Any) -> dict[str, Control]:
    made = controls(signature(inputs) | given.pop("more", {}), **given)
    return {each["name"]: control for each, control in zip(inputs, made, strict=True)}


def test_every_type_has_a_fitting_field() -> None:
    found = by_name(EVERY_TYPE)
    assert {name: control.kind for name, control in found.items()} == {
        "size": "number",
        "count": "number",
        "charging": "radio",
        "spare": "radio",
        "class": "radio",
        "town": "text",
        "built": "date",
        "seen-on": "date",
    }
    assert (found["count"].step, found["count"].low, found["count"].high) == ("1", "-5", "1000")
    assert found["charging"].required and not found["spare"].required
    assert found["spare"].options == [("true", "Yes"), ("false", "No"), ("", "Unknown")]
    assert found["built"].hint == "Usually 2020-01-01 to 2026-01-01"


def test_examples_are_shown_first_and_later_what_was_entered() -> None:
    assert [control.value for control in by_name(ROBOTS).values()] == ["5", "9", "low"]
    assert [control.value for control in by_name(ROBOTS, values={"rust-level": "3"}).values()] == ["", "3", ""]


def test_values_that_the_data_spells_in_its_own_way_are_typed_as_text() -> None:
    found = by_name(AS_FILE, more={"text": TEXT})
    assert [found[name].kind for name in ("price", "rooms", "born")] == ["typed", "typed", "date"]
    assert found["price"].value == "1234,5"
    assert found["price"].hint == "Written like 1234,5 €"
    american = [{"name": "born", "type": "date", "nullable": True, "text": {"formats": ["%y/%m/%d"]}}]
    assert by_name(american)["born"].hint == "Written like 26/12/31"


def test_an_error_is_at_its_field() -> None:
    found = by_name(ROBOTS, refused=Refused("…", "robot-age", "a number from 0 to 60"))
    assert [control.error for control in found.values()] == ["Expected a number from 0 to 60.", "", ""]
    found = by_name(ROBOTS, refused=Refused("…", "robot-age", "a number", missing=True))
    assert found["robot-age"].error == "This is needed."


def test_the_row_has_numbers_and_booleans_and_texts_as_they_are() -> None:
    form = {
        "in:size": " 1.50 ",
        "in:count": "7",
        "in:charging": "false",
        "in:class": " ",
        "in:town": "Argos",
        "in:built": "",
        "in:seen-on": "2024-03-01",
        "other": "x",
    }
    values = entered(signature(EVERY_TYPE), form)
    assert row(signature(EVERY_TYPE), values) == {
        "size": 1.5,
        "count": 7,
        "charging": False,
        "class": " ",
        "town": "Argos",
        "seen-on": "2024-03-01",
    }


def test_what_is_not_plainly_a_number_is_left_to_the_endpoint() -> None:
    for text in ("1e5", "nan", "\N{ARABIC-INDIC DIGIT ONE}", "1,5", "-", "9" * 400, "0x10"):
        assert row(signature(ROBOTS), {"robot-age": text}) == {"robot-age": text}
    assert row(signature(AS_FILE) | {"text": TEXT}, {"price": "1.234"}) == {"price": "1.234"}, "one thousand"

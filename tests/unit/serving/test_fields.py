"""How values are coerced, by the type of the input: accepted values, their numbers, and rejected values."""

import math
from typing import Any

import numpy as np
import pytest

from serving.model.fields import Field
from serving.model.signature import Signature
from serving.problems import Problem, Refused
from tests.support.bundles import AS_FILE, TEXT


def field(**raw: Any) -> Field:
    return Field.read({"name": "x", **raw})


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (5.25, 5.25),
        ("9", 9.0),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("+7.", 7.0),
        (0, 0.0),
        (-0.0, 0.0),
        ("1e38", 1e38),
    ],
)
def test_a_number_may_be_text(value: object, number: float) -> None:
    assert field(type="number").coerce(value) == number


@pytest.mark.parametrize(
    "value",
    [True, False, "", " ", "9 ", "nine", "1,000", "1_000", "٣", "0x10", "nan", "Infinity", "1e999", [], {}, "1" * 65]  # noqa: RUF005
    + [float("nan"), float("inf"), 10**400, -(10**40), 1e39],
)
def test_a_value_that_is_not_a_number_is_rejected(value: object) -> None:
    with pytest.raises(Refused, match="a number"):
        field(type="number").coerce(value)


def test_a_number_stays_in_its_range() -> None:
    age = field(type="number", min=0, max=60)
    assert [age.coerce(v) for v in (0, 60, "60.0")] == [0.0, 60.0, 60.0]
    for value in (-1, 60.5, "61", 10**30):
        with pytest.raises(Refused, match="a number from 0 to 60"):
            age.coerce(value)


@pytest.mark.parametrize(("value", "number"), [(5, 5.0), (5.0, 5.0), ("5", 5.0), ("-5", -5.0), ("5.0", 5.0)])
def test_an_integer_is_whole(value: object, number: float) -> None:
    assert field(type="integer").coerce(value) == number


@pytest.mark.parametrize("value", [5.5, "5.5", "5e0", True, "five", None])
def test_a_value_that_is_not_an_integer_is_rejected(value: object) -> None:
    with pytest.raises(Refused, match="a whole number"):
        field(type="integer").coerce(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, 1),
        (False, 0),
        ("true", 1),
        ("Yes", 1),
        ("NO", 0),
        ("1", 1),
        ("0", 0),
        (1, 1),
        (0, 0),
        (1.0, 1),
        ("on", 1),
        ("f", 0),
    ],
)
def test_a_boolean_may_be_text(value: object, number: float) -> None:
    assert field(type="boolean").coerce(value) == number


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe", "", [], "ja"])
def test_a_value_that_is_not_a_boolean_is_rejected(value: object) -> None:
    with pytest.raises(Refused, match="true or false"):
        field(type="boolean").coerce(value)


def test_a_category_is_its_index_in_the_list() -> None:
    battery = field(type="category", categories=["high", "low", "3"])
    assert [battery.coerce(v) for v in ("high", "low", "3", 3)] == [0.0, 1.0, 2.0, 2.0]
    assert battery.coerce(3) == battery.coerce(3.0) == battery.coerce("3")  # JSON has one kind of number
    for value in ("Low", "", "purple", 4, 3.5, True, ["low"]):
        with pytest.raises(Refused, match='one of "high", "low", "3"'):
            battery.coerce(value)


def test_an_unseen_category_is_missing_if_the_signature_says_other() -> None:
    town = field(type="category", categories=["Argos"], unknown="other")
    assert town.coerce("Argos") == 0.0
    assert math.isnan(town.coerce("Sparta"))
    with pytest.raises(Refused):
        town.coerce(1.5)


def test_a_new_category_is_missing_and_said() -> None:
    town = {"name": "town", "type": "category", "categories": ["Argos", "3"], "unknown": "warn", "example": "Argos"}
    output = {"name": "y", "classes": [0, 1]}
    read = Signature({"format": 1, "task": "classification", "inputs": [town], "output": output})
    rows = [{"town": "Sparta"}, {"town": "Argos"}, {"town": 3}, {"town": 3.0}]
    assert np.isnan(read.encode(rows)).ravel().tolist() == [True, False, False, False]
    assert read.notes(rows) == ['"town": the model does not know "Sparta", and takes it as missing.']
    assert read.notes(rows[1:]) == []


def test_the_error_suggests_the_nearest_of_many_categories() -> None:
    towns = field(type="category", categories=[f"Town {i}" for i in range(50)] + ["Thebes"])
    with pytest.raises(Refused, match='one of 51 known categories; did you mean "Thebes"'):
        towns.coerce("Tebes")


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("1970-01-01", 0.0),
        ("1970-01-02", 1.0),
        ("1969-12-31", -1.0),
        ("2024-02-29", 19782.0),
        ("1970-01-01T12:00", 0.5),
        ("1970-01-01 12:00:00", 0.5),
        ("1970-01-01T12:00:00Z", 0.5),
        ("1970-01-01T12:00:00+12:00", 0.0),
        ("0001-01-01T00:00:00+14:00", -719162.0 - 14 / 24),
    ],
)
def test_a_date_is_days_since_1970(value: str, days: float) -> None:
    assert field(type="date").coerce(value) == pytest.approx(days)


@pytest.mark.parametrize(
    "value", ["2023-02-29", "2024-13-01", "24-01-01", "01.02.2024", "2024-01-01T25:00", "today", 19782, "", True]
)
def test_a_value_that_is_not_a_date_is_rejected(value: object) -> None:
    with pytest.raises(Refused, match="a date as YYYY-MM-DD"):
        field(type="date").coerce(value)


def test_a_date_stays_in_its_range() -> None:
    seen = field(type="date", min="2000-01-01", max="2030-12-31")
    assert seen.coerce("2000-01-01") == 10957.0
    with pytest.raises(Refused, match="from 2000-01-01 to 2030-12-31"):
        seen.coerce("1999-12-31")


def test_an_unknown_type_is_not_served() -> None:
    with pytest.raises(ValueError, match="colour"):
        field(type="colour")


ROW = {"price": 1, "rooms": 3, "paid": True, "born": None, "town": "Bern"}
OUTPUT = {"name": "y", "classes": [0, 1]}


def as_file(**changes: Any) -> Signature:
    return Signature(
        {"format": 1, "task": "classification", "inputs": AS_FILE, "output": OUTPUT, "text": TEXT | changes}
    )


def test_texts_are_read_as_the_signature_says() -> None:
    rows = [
        {"price": "1.234,50 €", "rooms": " 3 ", "paid": "JA", "born": "2.1.1970", "town": " BERN"},
        {"price": "K. A.", "rooms": 3, "paid": False, "born": "1970-01-02", "town": 3},
        {"price": "", "rooms": "1.234", "paid": "nein ", "born": "na", "town": "genf"},
    ]
    numbers = as_file().encode(rows).tolist()
    assert np.allclose(numbers[0], [1234.5, 3, 1, 1, 0])
    assert np.isnan(numbers[1][0]) and numbers[1][1:] == [3, 0, 1, 2]
    assert np.isnan(numbers[2][0]) and np.isnan(numbers[2][3]) and numbers[2][1:3] == [1234, 0]
    assert as_file().encode(rows * 5).tolist()[::3] == [numbers[0]] * 5, "many rows at once"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("price", "1.5", 'a number (or as in "1.234,5 €"), 0 or more'),
        ("price", "-5,5", "0 or more"),
        ("rooms", -999, "not a text for a missing value"),
        ("rooms", "k. A.", "not a text for a missing value"),
        ("rooms", "3,5", "a whole number"),
        ("paid", "yes", 'true or false (or as in "ja", "nein")'),
        ("paid", 1, "true or false"),
        ("born", "12/31/1999", "a date as 31.12.2024 or YYYY-MM-DD"),
        ("born", "31.02.1999", "a date as"),
        ("town", "Basel", 'one of "Bern", "Genf", "3"'),
        ("town", True, 'one of "Bern"'),
    ],
)
def test_a_text_that_cannot_be_read_is_rejected_with_the_accepted_forms(
    field: str, value: object, expected: str
) -> None:
    with pytest.raises(Problem) as caught:
        as_file().encode([ROW | {field: value}])
    problem = caught.value
    assert (problem.status, problem.field) == (422, field)
    assert problem.expected and expected in problem.expected


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"decimal": ";"},
        {"thousands": ","},
        {"thousands": 5},
        {"missing": "na"},
        {"missing": [3]},
        {"missing": ["x"] * 2000},
        {"units": {"kg": "1"}},
        {"units": {"kg": 0}},
        {"units": {" kg": 1}},
        {"forms": ["roman"]},
        {"formats": ["%Q"]},
        {"formats": ["%d" * 100]},
        {"formats": ["%d.%"]},
        {"colour": []},
    ],
)
def test_a_malformed_description_of_texts_is_not_served(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"text|date format"):
        as_file(**changes)


@pytest.mark.parametrize(
    "value", ["(" + " " * 60 + "x", "1" + " ." * 31, "9" * 64, "\u0663", " " * 10_000_000, "<" * 64]
)
def test_a_strange_text_is_rejected_soon(value: str) -> None:
    read = as_file(forms=["parentheses", "limits", "minus behind"], units={"kg": 1.0, "k": 1.0})
    with pytest.raises(Problem):
        read.encode([ROW | {"rooms": value}])

"""How values are coerced, by the type of the input: what is taken, as which number, and what is refused."""

import math
from typing import Any

import pytest

from serving.fields import Field
from serving.problems import Refused


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
def test_what_is_no_number_is_refused(value: object) -> None:
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
def test_what_is_not_whole_is_refused(value: object) -> None:
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
def test_a_boolean_may_be_a_word(value: object, number: float) -> None:
    assert field(type="boolean").coerce(value) == number


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe", "", [], "ja"])
def test_what_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="true or false"):
        field(type="boolean").coerce(value)


def test_a_category_is_its_place_in_the_list() -> None:
    battery = field(type="category", categories=["high", "low", "3"])
    assert [battery.coerce(v) for v in ("high", "low", "3", 3)] == [0.0, 1.0, 2.0, 2.0]
    assert battery.coerce(3) == battery.coerce(3.0) == battery.coerce("3")  # JSON has one kind of number
    for value in ("Low", "", "purple", 4, 3.5, True, ["low"]):
        with pytest.raises(Refused, match='one of "high", "low", "3"'):
            battery.coerce(value)


def test_an_unseen_category_is_missing_where_the_signature_says_other() -> None:
    town = field(type="category", categories=["Argos"], unknown="other")
    assert town.coerce("Argos") == 0.0
    assert math.isnan(town.coerce("Sparta"))
    with pytest.raises(Refused):
        town.coerce(1.5)


def test_of_many_categories_the_nearest_is_named() -> None:
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
def test_what_is_no_day_is_refused(value: object) -> None:
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

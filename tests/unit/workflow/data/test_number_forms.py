"""Numbers as people write them are read as the spec says; anything else is unreadable."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.data.number_forms import PLAIN, Written, read_numbers
from pantheon.workflow.data.spec import Column, Source, Spec, Target
from pantheon.workflow.data.spec_file import dump_spec, parse_spec
from tests.support.data import cell

UNITS = {"$": 1.0, "%": 1.0, "kg": 1.0, "K": 1e3, "M": 1e6, "g": 0.001}
FORMS = ("parentheses", "minus behind", "limits")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\u22123", -3.0),
        ("\u2013 3.5", -3.5),
        ("+ 3", 3.0),
        ("1.5E-3", 0.0015),
        ("5.", 5.0),
        ("--5", None),
        ("(5)", None),
        ("5-", None),
        ("<5", None),
        ("5 kg", None),
        ("5 5", None),
    ],
)
def test_signs_are_read_in_every_column_and_other_forms_only_where_the_spec_lists_them(
    text: str, value: float | None
) -> None:
    assert cell(text, Column("x")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$5", 5.0),
        ("-$1,234.5", -1234.5),
        ("$-5", -5.0),
        ("$(5)", -5.0),
        ("($5)", -5.0),
        ("(1,234.50)", -1234.5),
        ("34.1%", 34.1),
        ("34.1\u00a0%", 34.1),
        ("5 kg", 5.0),
        ("500g", 0.5),
        ("$1.2M", 1_200_000.0),
        ("<0.5", 0.5),
        (">= 100", 100.0),
        ("\u2264 3 kg", 3.0),
        ("80+", 80.0),
        ("5-", -5.0),
        ("(-5)", None),
        ("(5", None),
        ("5 KG", None),
        ("5 kg kg", None),
        ("kg", None),
    ],
)
def test_units_and_forms_of_the_spec_are_read(text: str, value: float | None) -> None:
    assert cell(text, Column("x", units=UNITS, forms=FORMS), Source(thousands=",")) == value


def test_a_column_may_have_other_marks_than_the_file() -> None:
    source = Source(decimal=",", thousands=".")
    assert cell("1.234,5", Column("x"), source) == 1234.5
    assert cell("1234.5", Column("x", decimal="."), source) == 1234.5
    assert cell("1.234,5", Column("x", decimal="."), source) is None


def test_whole_numbers_keep_all_digits_in_any_form() -> None:
    column = Column("x", "integer", units={"$": 1.0})
    assert cell("$ 9007199254740993", column) == 9007199254740993
    assert cell("$12.5", column) is None


@pytest.mark.parametrize("text", ["-999", "-999.0", " -999"])
def test_a_number_may_mean_missing(text: str) -> None:
    for kind in ("number", "integer"):
        assert cell(text, Column("x", kind, null_values=("-999",))) is None
        assert cell(text, Column("x", kind)) == -999


def test_a_listed_word_is_a_value_even_if_it_usually_means_missing() -> None:
    column = Column("x", "category", categories=("AF", "NA"))
    assert [cell(text, column) for text in ("NA", "na", "None")] == ["NA", "NA", None]
    signs = Column("x", "boolean", true=("+",), false=("-",))
    assert [cell(text, signs) for text in ("+", "-", "--")] == [True, False, None]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('units = {"kg" = "1"}', "must be a table of numbers"),
        ('units = {"kg" = 0}', "its factor is not 0"),
        ('units = {"2kg" = 1}', "a unit does not begin with a blank or digit"),
        ('forms = ["roman"]', "must be one of parentheses"),
        ('thousands = ","', "needs decimal"),
        ('decimal = ";"', 'must be "." or ","'),
    ],
)
def test_a_spec_with_an_impossible_form_of_numbers_names_the_field(text: str, error: str) -> None:
    target = Column("y", "category", "target", categories=("a", "b"))
    spec = dump_spec(Spec("t", "classification", Source(path="t.csv"), Target("y", ("a", "b")), (Column("x"), target)))
    assert parse_spec(spec.replace('name = "x"', 'name = "x"\nunits = {"kg" = 1, "g" = 0.001}')).column("x").units
    with pytest.raises(PantheonError, match=error):
        parse_spec(spec.replace('name = "x"', f'name = "x"\n{text}'))


@given(st.from_regex(PLAIN, fullmatch=True), st.sampled_from([".", ","]))
def test_a_number_is_the_same_beside_texts_that_need_more_care(text: str, decimal: str) -> None:
    alone = [part[0] for part in read_numbers(pl.Series([text]), Written(decimal))]
    beside = [part[0] for part in read_numbers(pl.Series([text, "other"]), Written(decimal))]
    assert alone == beside

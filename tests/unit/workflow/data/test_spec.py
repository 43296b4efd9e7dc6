"""Specs are written and read as TOML without loss; errors name the line and the field."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.data.spec import Column, Source, Spec, Split, Target
from pantheon.workflow.data.spec_file import DATE_CODES, dump_spec, parse_spec, read_spec
from serving.model.dates import Format
from tests.support import DATASETS

MINIMAL = """\
name = "shop"
task = "classification"

[source]
path = "shop.csv"

[target]
column = "churned"
classes = ["no", "yes"]

[[columns]]
name = "age"
min = 0

[[columns]]
name = "churned"
type = "category"
role = "target"
"""


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)


TEXTS = st.lists(NAMES, max_size=4, unique=True).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    columns = []
    for name in names[1:]:
        kind = draw(st.sampled_from(["number", "integer", "boolean", "category", "date"]))
        low = draw(st.none() | st.integers(-100, 100) | st.floats(-1e6, 1e6)) if kind in ("number", "integer") else None
        columns.append(
            Column(
                name,
                kind,
                draw(st.sampled_from(["feature", "ignore"])) if columns else "feature",
                why=draw(NAMES),
                nullable=draw(st.booleans()),
                min=low,
                categories=draw(TEXTS.filter(len)) if kind == "category" else (),
                unknown=draw(st.sampled_from(["warn", "other", "refuse"])),
                max_missing=draw(st.floats(0, 1)),
                example=draw(st.none() | st.booleans() | st.integers(-9, 9) | NAMES),
            )
        )
    classes: tuple[bool | int | str, ...] = draw(
        st.lists(st.integers(-5, 99), min_size=2, max_size=5, unique=True).map(tuple)
        | st.lists(NAMES, min_size=2, max_size=5, unique=True).map(tuple)
        | st.just((False, True))
    )
    target = Target(names[0], classes, positive=draw(st.sampled_from([None, *classes])))
    source = Source(path=draw(NAMES), separator=draw(st.sampled_from(",;\t|")), null_values=draw(TEXTS))
    columns.append(Column(names[0], "category", "target"))
    return Spec(draw(NAMES), "classification", source, target, tuple(columns), Split(), draw(NAMES))


@given(specs())
def test_a_written_spec_can_be_read_again(spec: Spec) -> None:
    assert parse_spec(dump_spec(spec)) == spec


@pytest.mark.parametrize("name", ["robots", "wine", "breast_cancer", "diabetes"])
def test_bundled_specs_are_valid(name: str) -> None:
    spec = read_spec(DATASETS / f"{name}.toml")
    assert spec.name == name
    assert all(column.why for column in spec.columns), "each column says why it is taken for what it is"


def test_an_edited_spec_overrides_what_was_inferred() -> None:
    edited = parse_spec(MINIMAL.replace("min = 0", "min = 18\nmax = 99\nnullable = true"))
    age = edited.column("age")
    assert (age.min, age.max, age.nullable) == (18, 99, True)


def test_comments_explain_what_can_be_changed() -> None:
    text = dump_spec(parse_spec(MINIMAL))
    assert text.startswith("#")
    for word in ("max_missing", "max_unreadable", "nullable", "unknown"):
        assert word in text


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("min = 0", 'min = "old"', "line 13: columns[1].min must be a number"),
        ("min = 0", "low = 0", "line 13: columns[1].low is not a valid key"),
        ("min = 0", 'type = "numeric"', "line 13: columns[1].type must be one of number, integer"),
        ("min = 0", "min = 3\nmax = 1", "line 13: columns[1].min is above max"),
        ("min = 0", "nullable = 1", "columns[1].nullable must be true or false, not 1"),
        ("min = 0", "max_missing = 7", "columns[1].max_missing must be a share between 0 and 1"),
        ("min = 0", 'type = "category"', "columns[1].categories must list the valid categories"),
        ("min = 0", 'type = "date"\nformat = "%G-W%V"', "line 14: columns[1].format has %G, which is not supported"),
        ("min = 0", 'type = "date"\nformat = "%d.%m.%Y %H"', "'%d.%m.%Y %H', which lacks a part of the time of day"),
        ("min = 0", 'type = "date"\nformats = ["%d.%m"]', "line 14: columns[1].formats is '%d.%m', which has no year"),
        ('["no", "yes"]', '["no"]', "line 9: target.classes must list at least two classes"),
        ('["no", "yes"]', '["no", "yes"]\npositive = "maybe"', "line 10: target.positive is 'maybe'"),
        ('column = "churned"', 'column = "gone"', "line 8: target.column names 'gone'"),
        ('"classification"', '"clustering"', "line 2: task must be one of classification, regression"),
        ('role = "target"', 'role = "feature"', "role of 'churned' does not agree"),
        (
            'path = "shop.csv"',
            'path = "shop.csv"\nencoding = "utf-99"',
            "line 6: source.encoding 'utf-99' is not supported",
        ),
        ("[target]", '[split]\nby = "time"\n\n[target]', "split.column must name a column"),
        ("[target]", '[split]\ncolumn = "robot"\n\n[target]', "split.column names 'robot', which is not a column"),
        ('name = "age"', 'name = "churned"', "appears twice"),
        ('name = "shop"', "name = shop", "not valid TOML"),
        ('name = "shop"', "", "name is missing"),
    ],
)
def test_errors_name_the_line_and_the_field(good: str, bad: str, message: str) -> None:
    with pytest.raises(PantheonError) as error:
        parse_spec(MINIMAL.replace(good, bad, 1), "shop.toml")
    assert message in str(error.value)
    assert "shop.toml" in str(error.value)
    assert error.value.status == 2
    assert "\n" not in error.value.cause.rstrip(".")


def test_codes_of_dates_that_the_spec_allows_are_those_that_the_server_reads() -> None:
    for code in DATE_CODES:
        assert Format.read(f"{code} %Y").text
    with pytest.raises(ValueError, match="not supported"):
        Format.read("%G-W%V")


def test_a_missing_spec_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="does not exist"):
        read_spec(tmp_path / "none.toml")

"""A spec is TOML that people edit: it survives being written and read, and its errors name the line and the field."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.spec import Column, Source, Spec, Split, Target

from .conftest import DATASETS

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
                unknown=draw(st.sampled_from(["refuse", "other"])),
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
def test_what_is_written_is_read_again(spec: Spec) -> None:
    assert Spec.parse(spec.dump()) == spec


@pytest.mark.parametrize("name", ["robots", "wine", "breast_cancer", "diabetes"])
def test_bundled_specs_are_sound(name: str) -> None:
    spec = Spec.read(DATASETS / f"{name}.toml")
    assert spec.name == name
    assert all(column.why for column in spec.columns), "each column says why it is taken for what it is"


def test_an_edit_wins() -> None:
    edited = Spec.parse(MINIMAL.replace("min = 0", "min = 18\nmax = 99\nnullable = true"))
    age = edited.column("age")
    assert (age.min, age.max, age.nullable) == (18, 99, True)


def test_comments_say_what_may_be_changed() -> None:
    text = Spec.parse(MINIMAL).dump()
    assert text.startswith("#")
    for word in ("max_missing", "max_unreadable", "nullable", "unknown"):
        assert word in text


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("min = 0", 'min = "old"', "line 13: columns[1].min must be a number"),
        ("min = 0", "low = 0", "line 13: columns[1].low is not known"),
        ("min = 0", 'type = "numeric"', "line 13: columns[1].type must be one of number, integer"),
        ("min = 0", "min = 3\nmax = 1", "line 13: columns[1].min is above max"),
        ("min = 0", "nullable = 1", "columns[1].nullable must be true or false, not 1"),
        ("min = 0", "max_missing = 7", "columns[1].max_missing is a share, 0 to 1"),
        ("min = 0", 'type = "category"', "columns[1].categories must list what is known"),
        ('["no", "yes"]', '["no"]', "line 9: target.classes must list two or more"),
        ('["no", "yes"]', '["no", "yes"]\npositive = "maybe"', "line 10: target.positive is 'maybe'"),
        ('column = "churned"', 'column = "gone"', "line 8: target.column names 'gone'"),
        ('"classification"', '"clustering"', "line 2: task must be one of classification, regression"),
        ('role = "target"', 'role = "feature"', "role of 'churned' does not agree"),
        ('path = "shop.csv"', 'path = "shop.csv"\nencoding = "utf-99"', "line 6: source.encoding is not known"),
        ("[target]", '[split]\nby = "time"\n\n[target]', "split.column must name a column"),
        ("[target]", '[split]\ncolumn = "robot"\n\n[target]', "split.column names 'robot', which is not a column"),
        ('name = "age"', 'name = "churned"', "stands there twice"),
        ('name = "shop"', "name = shop", "not valid TOML"),
        ('name = "shop"', "", "name is missing"),
    ],
)
def test_errors_name_the_line_and_the_field(good: str, bad: str, said: str) -> None:
    with pytest.raises(PantheonError) as error:
        Spec.parse(MINIMAL.replace(good, bad, 1), "shop.toml")
    assert said in str(error.value)
    assert "shop.toml" in str(error.value)
    assert error.value.status == 2
    assert "\n" not in error.value.cause.rstrip(".")


def test_a_missing_spec_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="there is no spec"):
        Spec.read(tmp_path / "none.toml")


def test_reading_a_spec_takes_the_standard_library_alone() -> None:
    heavy = "[name for name in ('polars', 'numpy', 'tomlkit') if name in sys.modules]"
    code = f"import sys, pantheon.workflow.spec_read; print({heavy})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Headers as people have them: names are bound by position, and what has no name is said."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.load_data import load_data

ROWS = [f"{20 + n * 7 % 50},{n % 4}.5,{'yes' if n % 3 else 'no'}" for n in range(60)]
Write = Callable[..., Path]


def text(header: str, rows: list[str] = ROWS) -> str:
    return header + "\n" + "\n".join(rows) + "\n"


@pytest.fixture
def loaded(new_run: Callable[..., Run]) -> Callable[[Spec], pl.DataFrame]:
    """Return the rows that ``load_data`` reads for a spec."""

    def loaded(spec: Spec) -> pl.DataFrame:
        run = new_run(spec)
        load_data(run)
        return pl.read_parquet(run.path("data/raw.parquet"))

    return loaded


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("age,,bought", ["age", "column_2", "bought"]),
        ('age,"",bought', ["age", "column_2", "bought"]),
        (" age ,\tvisits,bought ", ["age", "visits", "bought"]),
        ("age\u00a0,\u200bvisits,bought", ["age", "visits", "bought"]),
        ('"a ""quoted"" name",visits,bought', ['a "quoted" name', "visits", "bought"]),
        ('"age\nin years",visits,bought', ["age\nin years", "visits", "bought"]),
        ('"age\rin years",visits,bought', ["age\rin years", "visits", "bought"]),
        ("\ufeffage,visits,bought", ["age", "visits", "bought"]),
        ("age,visits,bought,", ["age", "visits", "bought"]),
    ],
)
def test_names_are_bound_by_position(
    write: Write, loaded: Callable[[Spec], pl.DataFrame], header: str, names: list[str]
) -> None:
    spec = infer_spec(write(text(header)), "bought")
    assert [column.name for column in spec.columns] == names
    assert [column.type for column in spec.columns] == ["integer", "number", "category"]
    rows = loaded(spec)
    assert rows.columns == names
    assert rows.rows()[0] == ("20", "0.5", "no")
    assert rows.height == 60


@pytest.mark.parametrize("header", ["age,visits,bought", "age,visits,bought,"])
def test_a_separator_at_the_end_of_every_line(
    write: Write, loaded: Callable[[Spec], pl.DataFrame], header: str
) -> None:
    spec = infer_spec(write(text(header, [f"{row}," for row in ROWS])), "bought")
    assert [(column.name, column.role) for column in spec.columns[2:]] == [
        ("bought", "target"),
        ("column_4", "ignore"),
    ]
    assert "every cell is missing" in spec.columns[3].why
    assert loaded(spec).height == 60


@pytest.mark.parametrize("first", ["", '""', "Unnamed: 0", "R's row names"])
def test_an_index_column_is_ignored_and_said(write: Write, loaded: Callable[[Spec], pl.DataFrame], first: str) -> None:
    rows = [f"{n * 31 % 60},{row}" for n, row in enumerate(ROWS)]
    header = "age,visits,bought" if first.startswith("R's") else f"{first},age,visits,bought"
    spec = infer_spec(write(text(header, rows)), "bought")
    assert spec.columns[0].role == "ignore"
    assert spec.columns[0].why
    assert [column.name for column in spec.features] == ["age", "visits"]
    assert loaded(spec)["age"].to_list()[:2] == ["20", "27"]


def test_an_index_that_pandas_keeps_in_parquet_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    columns = {"x": [n * 7 % 13 for n in range(60)], "y": ["a", "b"] * 30, "__index_level_0__": range(60)}
    pl.DataFrame(columns).write_parquet(path)
    assert [column.role for column in infer_spec(path, "y").columns] == ["feature", "target", "ignore"]


def test_lines_that_end_with_a_carriage_return_alone(write: Write, loaded: Callable[[Spec], pl.DataFrame]) -> None:
    spec = infer_spec(write(text("age,visits,bought").replace("\n", "\r")), "bought")
    assert loaded(spec).rows()[0] == ("20", "0.5", "no")
    assert loaded(spec).height == 60

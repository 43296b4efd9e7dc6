"""No column's name has a meaning of its own, also if our tables use the same name inside."""

import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from pantheon.workflow.stages.preprocess import preprocess
from pantheon.workflow.stages.split_data import split_data

NAMES = ("count", "value", "kind", "n", "len", "number", "plain", "cell", "class", "test", "entity", "name", "literal")


@pytest.mark.parametrize("target", ["y", *NAMES])
def test_columns_may_have_any_name(target: str, new_run: Callable[..., Run], tmp_path: Path) -> None:
    rng = random.Random(7)
    names = [name for name in NAMES if name != target]
    cells: list[Callable[[], str]] = [
        lambda: str(rng.randrange(1000)),
        lambda: rng.choice(["1,234.5", "7.25", "n/a", ""]),
        lambda: rng.choice(["red", " Red", "blue"]),
    ]
    rows = [[cells[place % 3]() for place in range(len(names))] + [rng.choice(["a", "b"])] for _ in range(90)]
    file = tmp_path / "table.csv"
    pl.DataFrame([*rows, *rows[:20]], schema=[*names, target], orient="row").write_csv(file)
    run = new_run(infer_spec(file, target))
    for stage in (load_data, clean_data, split_data, preprocess):
        stage(run)
    clean = pl.read_parquet(run.path("data/clean.parquet"))
    assert clean.columns == [*names, target]
    assert clean.height == 110
    numbers = clean[names[1]]
    assert set(numbers.drop_nulls()) == {1234.5, 7.25}
    assert numbers.null_count() == sum(row[1] in ("n/a", "") for row in [*rows, *rows[:20]])
    assert clean[names[2]].cast(pl.String).str.to_lowercase().unique().sort().to_list() == ["blue", "red"]

"""Rows with the same inputs: copies stay together, rows that coincide by chance do not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from pantheon.workflow.data.copies import by_chance, first_equal, joined
from pantheon.workflow.data.spec import Column, Split
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.preprocess import preprocess
from pantheon.workflow.training.folds import splits
from pantheon.workflow.training.matrix import Table
from tests.support import DATASETS
from tests.support.data import parts

NUMBERS = [Column("a"), Column("b"), Column("c")]
INPUTS = ["a", "b", "c"]


def noise(rows: int, times: int, seed: int = 0) -> pl.DataFrame:
    """Rows of noise, each several times, in random order."""
    random = np.random.default_rng(seed)
    table = pl.DataFrame(
        {name: random.normal(size=rows).round(3) for name in INPUTS} | {"y": random.choice(["p", "q"], rows)}
    )
    return pl.concat([table] * times).sample(fraction=1.0, shuffle=True, seed=seed)


def test_missing_values_and_signed_zeros_are_equal() -> None:
    frame = pl.DataFrame({"a": [0.0, -0.0, None, None, 1.0], "b": ["x", "x", None, None, "x"]})
    assert first_equal(frame.lazy(), [Column("a"), Column("b", "category")]).tolist() == [0, 0, 2, 2, 4]


def test_rows_that_are_in_the_file_several_times_are_copies_and_few_combinations_are_not() -> None:
    copied = noise(300, 6)
    assert not by_chance(copied.lazy(), NUMBERS, first_equal(copied.lazy(), NUMBERS))
    random = np.random.default_rng(0)
    passengers = pl.DataFrame({name: random.integers(0, 4, 2000).astype(str) for name in INPUTS})
    categories = [Column(name, "category") for name in INPUTS]
    assert by_chance(passengers.lazy(), categories, first_equal(passengers.lazy(), categories))


def test_a_single_input_repeats_by_chance_if_it_has_few_values() -> None:
    few, many = (pl.DataFrame({"a": list(range(values)) * 6}) for values in (20, 200))
    inputs = [Column("a", "integer")]
    assert by_chance(few.lazy(), inputs, first_equal(few.lazy(), inputs))
    assert not by_chance(many.lazy(), inputs, first_equal(many.lazy(), inputs))


def test_groups_that_share_a_row_are_one_group() -> None:
    one, other = np.array([5, 5, 7, 7, 9, 9]), np.array([0, 1, 1, 2, 3, 4])
    assert joined(one, other).tolist() == [0, 0, 0, 0, 4, 4]


def test_copies_are_in_the_same_part_and_in_the_same_fold(
    through: Callable[..., Run], write: Callable[..., Path]
) -> None:
    run = through(write(noise(300, 6).write_csv()))
    train, test = (set(part.select(INPUTS).unique().iter_rows()) for part in parts(run))
    assert not train & test
    assert 0.15 < len(test) / 300 < 0.25
    repeated = json.loads(run.path("reports/split_data.json").read_text())["repeated"]
    assert repeated == {"rows": 1800, "distinct": 300, "together": True, "by_chance": False, "in_both": 0}
    preprocess(run)
    table = Table.load(run.path("features/train.npz"))
    for fit, tested in splits(table, 5, 0, 2):
        assert not {row.tobytes() for row in table.X[fit]} & {row.tobytes() for row in table.X[tested]}


def test_without_copies_the_split_is_that_of_the_row_numbers(
    through: Callable[..., Run], write: Callable[..., Path]
) -> None:
    table = noise(200, 1)
    alone = parts(through(write(table.write_csv())))[1]
    with_copy = parts(through(write(pl.concat([table, table.head(1)]).write_csv(), "more.csv")))[1]
    assert alone.height == 40
    assert len(set(alone.iter_rows()) ^ set(with_copy.iter_rows())) <= 2


def test_robots_of_few_values_are_not_copies_of_one_another(through: Callable[..., Run]) -> None:
    report = json.loads(through(read_spec(DATASETS / "robots.toml")).path("reports/split_data.json").read_text())
    assert report["repeated"]["together"] is False


def test_a_split_by_time_counts_the_held_out_rows_that_copy_a_training_row(
    through: Callable[..., Run], write: Callable[..., Path]
) -> None:
    from dataclasses import replace

    from pantheon.workflow.data.infer import infer_spec

    table = noise(300, 6).with_row_index("n")
    spec = infer_spec(write(table.write_csv()), "y")
    columns = tuple(replace(c, role="time", type="integer") if c.name == "n" else c for c in spec.columns)
    run = through(replace(spec, columns=columns, split=Split("time", "n")))
    repeated = json.loads(run.path("reports/split_data.json").read_text())["repeated"]
    assert (repeated["together"], repeated["in_both"] > 300) == (False, True)

"""The tutorial's data: deterministic, dirty, several observations per robot, and a rule that can be learned."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pantheon.workflow.data.generate import BLOCK, robots, write_robots_csv


def test_the_bytes_never_change(tmp_path: Path) -> None:
    path = tmp_path / "robots.csv"
    write_robots_csv(path, 5000, seed=42)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "84267a6c1777eff197cd00201f9b550607d5b671389e1188e76f82616913073d"


def test_a_longer_file_begins_with_the_shorter(tmp_path: Path) -> None:
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    write_robots_csv(short, 1234)
    write_robots_csv(long, 5000)
    assert long.read_bytes().startswith(short.read_bytes())


def test_the_result_does_not_depend_on_chunks() -> None:
    whole = robots(0, 4 * BLOCK)
    assert whole.equals(pl.concat([robots(0, BLOCK), robots(BLOCK, 4 * BLOCK)]))


def test_another_seed_gives_other_robots() -> None:
    assert not robots(0, 100, seed=1).equals(robots(0, 100, seed=2))


@pytest.mark.parametrize(
    ("column", "slips"),
    [
        ("robot-age", ["", "n/a", "-3", "999", "1,999"]),
        ("rust-level", ["", "n/a", "9 "]),
        ("battery", ["", " Low", "LOW"]),
        ("condition", [""]),
    ],
)
def test_cells_are_dirty(column: str, slips: list[str]) -> None:
    seen = set(robots(0, 5000)[column])
    assert set(slips) <= seen


def test_robots_have_several_rows_and_some_rows_are_duplicated() -> None:
    rows = robots(0, 5000)
    assert 4 < rows.height / rows["robot-id"].n_unique() < 6
    assert 20 < rows.is_duplicated().sum() < 200


def test_the_rule_can_be_learned_and_an_old_rusty_robot_is_bad() -> None:
    from sklearn.tree import DecisionTreeClassifier

    number = pl.col("robot-age", "rust-level").str.strip_chars().cast(pl.Float64, strict=False)
    low = pl.col("battery").str.strip_chars().str.to_lowercase() == "low"
    rows = robots(0, 10_000).with_columns(number, low.cast(pl.Float64).alias("low"))
    rows = rows.filter(pl.col("robot-age").is_between(0, 60), pl.col("condition") != "").drop_nulls()
    X = rows.select("robot-age", "rust-level", "low").to_numpy()
    y = rows["condition"].cast(pl.Int64).to_numpy()
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(X[:5000], y[:5000])
    assert 0.86 < tree.score(X[5000:], y[5000:]) < 0.95
    assert tree.predict_proba([[5, 9, 1]])[0, 0] > 0.9
    assert 0.3 < np.mean(y) < 0.7

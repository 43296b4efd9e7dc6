"""Folds: entities are not divided, classes are distributed evenly, and no fold uses future rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.training.folds import assign, sample, splits
from pantheon.workflow.training.matrix import Table


@given(rows=st.integers(10, 200), entities=st.integers(5, 60), folds=st.integers(2, 5), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_an_entity_is_in_one_fold(rows: int, entities: int, folds: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    groups, y = random.integers(0, entities, rows), random.integers(0, 2, rows)
    fold = assign(y, groups, folds, seed, 2)
    for group in np.unique(groups):
        assert len(np.unique(fold[groups == group])) == 1


def test_every_class_is_distributed_over_the_folds() -> None:
    y = np.repeat([0, 1, 2], [900, 95, 5])
    fold = assign(y, None, 5, 42, 3)
    for rows in (fold == i for i in range(5)):
        assert np.bincount(y[rows], minlength=3).tolist() == [180, 19, 1]


def test_every_row_is_predicted_once() -> None:
    y = np.random.default_rng(0).normal(size=103)
    asked = [ask for _, ask in splits(Table(np.zeros((103, 1), np.float32), y), 5, 1, 0)]
    assert sorted(np.concatenate(asked)) == list(range(103))


def test_with_a_split_by_time_folds_predict_only_later_rows() -> None:
    time = np.random.default_rng(0).permutation(200).astype(float)
    y = (np.arange(200) % 2).astype(np.int64)
    result = splits(Table(np.zeros((200, 1), np.float32), y, time=time), 4, 1, 2)
    assert len(result) == 4
    for fit, ask in result:
        assert time[fit].max() < time[ask].min()


def test_a_class_of_one_entity_does_not_stop_the_others() -> None:
    y = np.array([0] * 20 + [1] * 3)
    groups = np.array([*range(20), 99, 99, 99])
    result = splits(Table(np.zeros((23, 1), np.float32), y, groups), 5, 1, 2)
    assert len(result) == 4
    assert all(len(np.unique(y[fit])) == 2 for fit, _ in result)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(PantheonError, match="too small for cross-validation"):
        splits(Table(np.zeros((2, 1), np.float32), np.array([0, 1])), 5, 1, 2)


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    table = Table(np.arange(1000, dtype=np.float32)[:, None], np.arange(1000.0), groups=np.arange(1000))
    one, two, other = sample(table, 100, 1), sample(table, 100, 1), sample(table, 100, 2)
    assert len(one) == 100
    np.testing.assert_array_equal(one.X, two.X)
    assert not np.array_equal(one.X, other.X)
    assert sample(table, 1000, 1) is table

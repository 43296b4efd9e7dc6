"""Many rows at once are encoded like one row after the other, or not at all."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.model import columns
from serving.model.signature import Signature
from serving.problems import Problem
from tests.support.bundles import EVERY_TYPE, ROBOTS, signature

EVERY = Signature(signature(EVERY_TYPE))
GOOD = {"size": 1.5, "count": 3, "charging": True, "class": "1", "seen-on": "2024-03-01"}
unusual = st.sampled_from(
    [
        *(None, True, False, 0, 1, 1.0, -0.0, 2.5, "1", "2.0", "true", "", "x y", "2024-03-01", "2024-03-01T10:00"),
        *(10**400, 2**53 + 1, -(10**30), 1e300, [], {}, "Argos", "1e5", "9" * 80),
    ]
)
rows = st.lists(
    st.fixed_dictionaries(
        {name: st.just(value) | unusual for name, value in GOOD.items()},
        optional={"spare": unusual, "town": unusual, "built": unusual, "other": unusual},
    )
    | st.just(GOOD),
    min_size=1,
    max_size=6,
)


def one_after_the_other(said: Signature, batch: list[Any]) -> Any:
    return np.array([said.encode_row(row, i) for i, row in enumerate(batch)], dtype=np.float32)


@settings(max_examples=400)
@given(rows)
def test_encoding_by_column_equals_encoding_by_row_or_is_declined(batch: list[Any]) -> None:
    found = columns.encode(batch, EVERY.fields)
    if found is not None:
        np.testing.assert_array_equal(found, one_after_the_other(EVERY, batch))


@pytest.mark.parametrize(
    "batch",
    [
        [GOOD] * 9,
        [GOOD | {"size": i, "count": i} for i in range(9)],
        [GOOD | {"size": i / 7, "town": "nowhere"} for i in range(9)],
        [GOOD | {"size": "1.25", "count": "4", "charging": "yes"}] * 9,
        [GOOD, GOOD | {"spare": None, "town": "Argos", "built": "2020-02-02"}] * 5,
    ],
)
def test_plain_batches_are_encoded_by_column(batch: list[Any]) -> None:
    found = columns.encode(batch, EVERY.fields)
    assert found is not None
    np.testing.assert_array_equal(found, one_after_the_other(EVERY, batch))


def test_an_error_in_a_large_batch_names_its_row_and_field() -> None:
    robots = Signature(signature(ROBOTS))
    batch: list[Any] = [{"robot-age": 5, "rust-level": 1, "battery": "low"}] * 1000
    for wrong, name in (({"robot-age": 61}, "robot-age"), ({"battery": "x"}, "battery"), ({"other": 1}, "other")):
        batch[700] = {"robot-age": 5} | wrong
        with pytest.raises(Problem) as caught:
            robots.encode(batch)
        assert (caught.value.row, caught.value.field) == (700, name)

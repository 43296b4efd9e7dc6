"""``reference.json`` describes the training rows: shares of values, quantiles, what is missing."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pantheon.workflow.bundle.describe import of_input
from pantheon.workflow.bundle.distribution import of_codes, of_numbers
from pantheon.workflow.bundle.reference import LEVELS, Distribution, Reference, read


def test_quantiles_are_values_of_the_data_as_people_send_them() -> None:
    values = np.random.default_rng(0).permutation(np.arange(0, 1000)).astype(np.float32) / np.float32(10)
    found = of_numbers(np.append(values, np.float32("nan")))
    assert (found.rows, found.missing, len(found.quantiles)) == (1001, pytest.approx(1 / 1001), LEVELS)
    assert found.quantiles[:3] == [0.0, 3.1, 6.2]
    assert found.quantiles[-1] == 99.9, "not 99.9000015"
    assert found.below == pytest.approx(np.linspace(0, 1, LEVELS).tolist(), abs=2e-3)


def test_equal_values_count_exactly() -> None:
    found = of_numbers(np.array([0] * 97 + [1] * 3, np.float32))
    assert set(zip(found.quantiles, found.below, strict=True)) == {(0.0, 0.97), (1.0, 1.0)}


def test_an_origin_is_added_without_losing_digits() -> None:
    entry = {"name": "at", "type": "integer", "nullable": False, "origin": 1.7e9}
    assert of_input(np.array([-1, 0, 2], np.float32), entry).quantiles[0] == 1_699_999_999.0  # type: ignore[arg-type]


def test_categories_have_shares_of_the_rows_with_a_value() -> None:
    codes = np.array([0, 0, 2, np.nan], np.float32)
    found = of_codes(codes, ["high", "low", "medium"])
    assert (found.missing, found.categories) == (0.25, {"high": 2 / 3, "medium": 1 / 3})
    entry = {"name": "in", "type": "boolean", "nullable": True}
    assert of_input(codes[:2], entry).categories == {"false": 1.0}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_column_without_values(kind: str) -> None:
    empty = np.full(3, np.nan, np.float32)
    found = of_numbers(empty) if kind == "number" else of_codes(empty, ["a"])
    assert found == Distribution(kind, 3, 1.0)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    numbers = of_numbers(np.arange(40, dtype=np.float32))
    whole = Reference(1, 40, {"x": numbers}, target=numbers)
    path = tmp_path / "reference.json"
    assert read(path) is None
    path.write_bytes(msgspec.json.encode(whole))
    assert read(path) == whole
    path.write_bytes(msgspec.json.encode(whole).replace(b'"quantiles":[0.0,', b'"quantiles":[9.0,'))
    with pytest.raises(ValueError, match="must not decrease"):
        read(path)

"""Tensors of protocol V2 become rows, and answers become tensors."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.inference import v2
from serving.inference.tensors import datatype_of
from serving.model.predictor import Answer, Predictor
from serving.problems import Problem
from tests.support.bundles import EVERY_TYPE, ROBOTS, bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("v2")


@pytest.fixture(scope="module")
def robots(folder: Path) -> Predictor:
    return Predictor(bundle(folder / "robots"), "robots", "7")


@pytest.fixture(scope="module")
def numbers(folder: Path) -> Predictor:
    """Two inputs, both numbers; a regression."""
    return Predictor(bundle(folder / "numbers", ROBOTS[:2], "regression"), "numbers", "1")


def tensor(name: str, datatype: str, data: Any, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape) or [len(data)], "data": data}


def rows(predictor: Predictor, *inputs: dict[str, Any]) -> list[dict[str, Any]]:
    return v2.read(json.dumps({"inputs": inputs}).encode(), predictor).rows


def test_a_tensor_per_column_flat_or_with_a_column(robots: Predictor) -> None:
    wanted = [{"robot-age": 5, "battery": "low"}, {"robot-age": 1, "battery": None}]
    assert rows(robots, tensor("robot-age", "INT64", [5, 1]), tensor("battery", "BYTES", ["low", None])) == wanted
    nested = tensor("robot-age", "INT64", [[5], [1]], 2, 1), tensor("battery", "BYTES", ["low", None], 2, 1)
    assert rows(robots, *nested) == wanted


def test_one_tensor_with_the_columns_in_order(numbers: Predictor) -> None:
    wanted = [{"robot-age": 1.0, "rust-level": 2.0}, {"robot-age": 3.0, "rust-level": None}]
    assert rows(numbers, tensor("features", "FP32", [1.0, 2.0, 3.0, None], 2, 2)) == wanted
    assert rows(numbers, tensor("features", "FP32", [[1.0, 2.0], [3.0, None]], 2, 2)) == wanted


def test_tensors_that_are_sent_along(robots: Predictor, numbers: Predictor) -> None:
    region = tensor("context.region", "BYTES", ["north", None])
    asked = v2.read(json.dumps({"inputs": [tensor("robot-age", "INT64", [5, 1]), region]}).encode(), robots)
    assert asked.rows == [{"robot-age": 5}, {"robot-age": 1}]
    assert [row["context"] for row in json.loads(asked.raw)] == [{"region": "north"}, {"region": None}]
    both = rows(numbers, region, tensor("features", "FP32", [1.0, 2.0, 3.0, 4.0], 2, 2))
    assert both == [{"robot-age": 1.0, "rust-level": 2.0}, {"robot-age": 3.0, "rust-level": 4.0}]


def test_whole_numbers_in_floating_point_tensors(folder: Path) -> None:
    every = Predictor(bundle(folder / "every", EVERY_TYPE), "every", "1")
    assert rows(every, tensor("count", "FP64", [3.0, 3.5])) == [{"count": 3}, {"count": 3.5}]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([], "1 tensor"),
        ([tensor("a", "INT64", [1, 2], 3)], "3 elements"),
        ([tensor("a", "INT64", [1.5])], "a whole number"),
        ([tensor("a", "BOOL", [1])], "true or false"),
        ([tensor("a", "BYTES", [1])], "a text"),
        ([tensor("a", "FP32", ["1"])], "a number"),
        ([tensor("a", "FP32", [True])], "a number"),
        ([tensor("a", "FP128", [1])], "one of BOOL"),
        ([tensor("a", "INT64", [[1, 2], [3]], 2, 2)], "an array of 2"),
        ([tensor("a", "INT64", [1], 1, 1, 1)], "one or two dimensions"),
        ([tensor("a", "INT64", [1], -1)], "one or two dimensions"),
        ([tensor("a", "INT64", [1, 2]), tensor("b", "INT64", [1])], "2 rows"),
        ([tensor("a", "INT64", [1]), tensor("a", "INT64", [1])], "twice"),
        ([tensor("a", "INT64", [1, 2], 1, 2)], "[rows]"),
        ([{"name": "a", "datatype": "INT64", "shape": [1]}], "no data"),
    ],
)
def test_tensors_that_are_none_are_refused(robots: Predictor, inputs: list[Any], expected: str) -> None:
    with pytest.raises(Problem) as refused:
        rows(robots, *inputs)
    assert refused.value.status == 400
    assert expected in f"{refused.value.message} {refused.value.expected}"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"inputs": 1}', '{"inputs": [{"name": 1}]}', '{"inputs": [[[['])
def test_other_bodies_are_refused(robots: Predictor, body: str) -> None:
    with pytest.raises(Problem) as refused:
        v2.read(body.encode(), robots)
    assert refused.value.status == 400


def test_no_rows_and_too_many_rows(robots: Predictor) -> None:
    for height, status in ((0, 422), (10_001, 413)):
        with pytest.raises(Problem) as refused:
            rows(robots, tensor("robot-age", "INT64", [1] * height))
        assert refused.value.status == status


FP32 = st.floats(width=32, allow_infinity=False)


@given(numbers_=st.lists(FP32, min_size=1, max_size=5), texts=st.data())
def test_binary_tensors_are_those_in_json(robots: Predictor, numbers_: list[float], texts: st.DataObject) -> None:
    words = texts.draw(st.lists(st.text(), min_size=len(numbers_), max_size=len(numbers_)))
    parts = [np.array(numbers_, dtype="<f4").tobytes()]
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    parts.append(b"".join(struct.pack("<I", len(word)) + word for word in encoded))
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(numbers_)], "parameters": {"binary_data_size": len(part)}}
        for name, kind, part in zip(("robot-age", "battery"), ("FP32", "BYTES"), parts, strict=True)
    ]
    head = json.dumps({"inputs": inputs}).encode()
    found = v2.read(head + b"".join(parts), robots, str(len(head))).rows
    assert [row["robot-age"] for row in found] == [None if math.isnan(n) else n for n in numbers_]
    assert [row["battery"] for row in found] == words


@pytest.mark.parametrize("size", [-1, 3, 100, True, "4", None])
def test_wrong_binary_sizes_are_refused(robots: Predictor, size: Any) -> None:
    inputs = [{"name": "robot-age", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": size}}]
    head = json.dumps({"inputs": inputs}).encode()
    with pytest.raises(Problem) as refused:
        v2.read(head + b"\0\0\0\0", robots, str(len(head)))
    assert refused.value.status == 400


@pytest.mark.parametrize("length", ["-1", "x", "10000", "1.5"])
def test_wrong_lengths_of_the_json_are_refused(robots: Predictor, length: str) -> None:
    with pytest.raises(Problem, match="inference-header-content-length"):
        v2.read(b"{}", robots, length)


def test_answers(robots: Predictor, numbers: Predictor) -> None:
    asked = v2.read(json.dumps({"inputs": [tensor("robot-age", "INT64", [5])]}).encode(), robots)
    assert asked.probabilities
    value = v2.write(asked, Answer([1], [[0.25, 0.75]]), robots, "ours")
    assert value["id"] == "ours"
    assert [each["data"] for each in value["outputs"]] == [[1], [0.25, 0.75]]
    asked = v2.read(json.dumps({"id": "x", "inputs": [tensor("a", "FP32", [1.0])]}).encode(), numbers)
    value = v2.write(asked, Answer([1.5], None), numbers, "ours")
    assert (value["id"], value["outputs"]) == (
        "x",
        [{"name": "hours", "datatype": "FP64", "shape": [1], "data": [1.5]}],
    )


def test_an_unknown_output_is_refused(robots: Predictor) -> None:
    body = {"inputs": [tensor("robot-age", "INT64", [5])], "outputs": [{"name": "nothing"}]}
    with pytest.raises(Problem, match='no output "nothing"'):
        v2.read(json.dumps(body).encode(), robots)


def test_datatypes_of_classes() -> None:
    assert [datatype_of(each) for each in ([0, 1], [True, False], ["a"], [1, 2.5], [1, "a"], [True, 1])] == [
        "INT64",
        "BOOL",
        "BYTES",
        "FP64",
        "BYTES",
        "BYTES",
    ]

"""Small real bundles: a linear model written straight as an ONNX graph, so that no test here trains anything."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

ROBOTS: list[dict[str, Any]] = [
    {"name": "robot-age", "type": "number", "nullable": False, "min": 0, "max": 60, "seen": [0.0, 40.0], "example": 5},
    {"name": "rust-level", "type": "number", "nullable": True, "min": 0, "max": 10, "example": 9},
    {
        "name": "battery",
        "type": "category",
        "nullable": True,
        "categories": ["high", "low", "medium"],
        "unknown": "refuse",
        "example": "low",
    },
]
EVERY_TYPE: list[dict[str, Any]] = [
    {"name": "size", "type": "number", "nullable": False, "example": 1.5},
    {"name": "count", "type": "integer", "nullable": False, "min": -5, "max": 1000, "example": 3},
    {"name": "charging", "type": "boolean", "nullable": False, "example": True},
    {"name": "spare", "type": "boolean", "nullable": True},
    {
        "name": "class",
        "type": "category",
        "nullable": False,
        "categories": ["1", "2", "x y"],
        "unknown": "refuse",
        "example": "1",
    },
    {
        "name": "town",
        "type": "category",
        "nullable": True,
        "categories": ["Argos", "Thebes"],
        "unknown": "other",
        "example": "Argos",
    },
    {"name": "built", "type": "date", "nullable": True, "example": "2024-03-01", "seen": ["2020-01-01", "2026-01-01"]},
    {
        "name": "seen-on",
        "type": "date",
        "nullable": False,
        "min": "2000-01-01",
        "max": "2030-12-31",
        "example": "2024-03-01",
    },
]
AS_FILE: list[dict[str, Any]] = [
    {"name": "price", "type": "number", "nullable": True, "min": 0, "example": 1234.5, "text": {"units": {"€": 1}}},
    {"name": "rooms", "type": "integer", "nullable": False, "example": 3, "text": {"missing": ["-999"]}},
    {
        "name": "paid",
        "type": "boolean",
        "nullable": False,
        "text": {"true": ["ja"], "false": ["nein"]},
        "example": True,
    },
    {
        "name": "born",
        "type": "date",
        "nullable": True,
        "text": {"formats": ["%d.%m.%Y", "%Y-%m-%d"], "time": False},
        "example": "1999-12-31",
    },
    {"name": "town", "type": "category", "nullable": False, "categories": ["Bern", "Genf", "3"], "example": "Bern"},
]
"""Inputs of a model whose signature says how texts are read: with TEXT."""
TEXT = {"version": 1, "missing": ["na", "k. a."], "decimal": ",", "thousands": "."}
LABELS = {"0": "Bad Condition", "1": "Good Condition"}
CARD = "# robots\n\nIs this robot in bad condition?\n\n## Limits\n\nRobots of other makers.\n"
PLOT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30" fill="#fff"/></svg>\n'
)


def signature(inputs: list[dict[str, Any]], task: str = "classification", **output: Any) -> dict[str, Any]:
    """A signature for ``inputs``; ``output`` changes entries of the robots' own output."""
    if task == "classification":
        out = {"name": "condition", "type": "category", "classes": [0, 1], "labels": LABELS, "positive": 1}
        names = ["label", "probabilities"]
    else:
        out, names = {"name": "hours", "type": "number", "unit": "h"}, ["variable"]
    onnx = {"input": "features", "outputs": names}
    return {"format": 1, "name": "robots", "task": task, "inputs": inputs, "output": out | output, "onnx": onnx}


def metrics(score: float = 0.9) -> dict[str, Any]:
    return {
        "task": "classification",
        "primary": {"name": "accuracy", "greater_is_better": True},
        "chosen": "linear",
        "held_out": {"accuracy": score},
        "train": {"accuracy": score},
        "baseline": {"accuracy": 0.5},
        "overfitting": {"gap": 0.0, "verdict": "No sign of overfitting."},
        "candidates": [{"name": "linear", "cv_mean": score, "cv_std": 0.01, "held_out": {"accuracy": score}}],
        "slices": [{"column": "battery", "value": "low", "rows": 100, "metrics": {"accuracy": score}}],
        "calibration": [
            {"predicted": 0.1, "observed": 0.2, "rows": 10},
            {"predicted": 0.9, "observed": 0.8, "rows": 20},
        ],
        "rows": {"train": 400, "test": 100},
    }


def model(path: Path, inputs: int, task: str = "classification", classes: int = 2, bias: float = 4.0) -> None:
    """softmax(W·x + b) for classes, W·x + b for a number; missing counts as 0, and class 0 grows with every input."""
    weights = np.zeros((inputs, classes if task == "classification" else 1), dtype=np.float32)
    weights[:, 0] = 0.5
    offset = np.zeros(weights.shape[1], dtype=np.float32)
    offset[-1] = bias
    constants = {"weights": weights, "offset": offset, "zero": np.zeros((), dtype=np.float32)}
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["product"]),
    ]
    if task == "classification":
        nodes += [
            helper.make_node("Add", ["product", "offset"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ]
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes]),
        ]
    else:
        nodes.append(helper.make_node("Add", ["product", "offset"], ["variable"]))
        outputs = [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, inputs])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def bundle(
    folder: Path,
    inputs: list[dict[str, Any]] | None = None,
    task: str = "classification",
    *,
    bias: float = 4.0,
    card: str = CARD,
    score: float = 0.9,
    text: dict[str, Any] | None = None,
    **output: Any,
) -> Path:
    """A whole bundle in ``folder``. For robots: rust 9 on a robot of 5 years is bad, everything at 0 is good."""
    inputs = ROBOTS if inputs is None else inputs
    (folder / "plots").mkdir(parents=True)
    said = signature(inputs, task, **output) | ({"text": text} if text else {})
    (folder / "signature.json").write_text(json.dumps(said))
    (folder / "metrics.json").write_text(
        json.dumps(metrics(score) if task == "classification" else {"held_out": {"mae": 1.5}})
    )
    (folder / "lineage.json").write_text("{}")
    (folder / "card.md").write_text(card)
    (folder / "plots" / "calibration.svg").write_text(PLOT)
    (folder / "plots" / "roc.svg").write_text(PLOT)
    model(folder / "model.onnx", len(inputs), task, len(said["output"].get("classes", [])), bias)
    return folder

"""preprocess: convert the training and the test part to float32 matrices, in the order of the model's inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.data.reports import Rows, SplitReport
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.outputs import Preprocessed, Summary
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.training.honesty import long_tailed
from pantheon.workflow.training.matrix import Table, load_spec, to_table
from pantheon.workflow.training.origins import origins
from pantheon.workflow.training.signature import signature_inputs


def preprocess(run: Run) -> Summary:
    """``data/{train,test}.parquet`` → ``features/{train,test}.npz`` and ``features/preprocess.json``.

    The spec defines the codes of categories, booleans and dates; statistics (ranges, shares of missing values) come
    only from the training part.
    """
    spec = load_spec(run)
    report = run.path("reports/split_data.json")
    repeats = read_as(report, SplitReport).get("repeated") if report.exists() else None
    together = bool(repeats and repeats["together"])
    tables: dict[str, Table] = {}
    given: dict[str, float] = {}
    for part in ("train", "test"):
        cancellation.check()
        frame = pl.read_parquet(run.need(f"data/{part}.parquet", "split_data"))
        if part == "train":
            given = origins(frame, spec)
        tables[part] = to_table(frame, spec, together, given)
        if not len(tables[part]):
            raise PantheonError(f"the {part} part has no rows.", "Provide more rows, or change test_share.")
    train = tables["train"]
    if spec.task == "classification" and len(np.unique(train.y)) < 2:
        raise PantheonError(
            f"the training part has only one class of {spec.target.column!r}.", "Provide rows of the other classes too."
        )
    for part, table in tables.items():
        with run.output(f"features/{part}.npz") as path:
            table.save(path)
    result = described(run, spec, train, tables["test"], given)
    write_json(run.path("features/preprocess.json"), result)
    rows = result["rows"]
    return {"inputs": len(spec.features), "train": rows["train"], "test": rows["test"]}


def described(run: Run, spec: Spec, train: Table, test: Table, given: Mapping[str, float]) -> Preprocessed:
    """Return the content of ``features/preprocess.json``; ``given``: the origins of inputs."""
    missing = {
        column.name: float(np.isnan(values).mean()) for column, values in zip(spec.features, train.X.T, strict=True)
    }
    rows: Rows = {"train": len(train), "test": len(test)}
    cleaned = run.path("reports/clean_data.json")
    unread = read_as(cleaned, dict[str, Any]).get("unread", {}) if cleaned.exists() else {}
    inputs = signature_inputs(spec, train, given, unread)
    result: Preprocessed = {"inputs": inputs, "rows": rows, "missing_in_train": missing}
    if spec.task == "regression":
        result["long_tail"] = long_tailed(train.y)
    return result

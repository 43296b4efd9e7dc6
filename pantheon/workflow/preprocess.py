"""preprocess: the training and the test part as float32 matrices in the order of the model's inputs."""

from typing import Any

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow import interrupt
from pantheon.workflow.matrix import Table, load_spec, signature_inputs, to_table
from pantheon.workflow.run import Run, write_json


def preprocess(run: Run) -> dict[str, Any]:
    """``data/{train,test}.parquet`` → ``features/{train,test}.npz`` and ``features/preprocess.json``.

    The coding of categories, booleans and dates is the spec's; what is written down of values (ranges seen, what is
    missing where) comes from the training part alone.
    """
    spec = load_spec(run)
    tables: dict[str, Table] = {}
    for part in ("train", "test"):
        interrupt.check()
        tables[part] = to_table(pl.read_parquet(run.need(f"data/{part}.parquet", "split_data")), spec)
        if not len(tables[part]):
            raise PantheonError(f"the {part} part has no rows.", "Give more rows, or change test_share.")
    train = tables["train"]
    if spec.task == "classification" and len(np.unique(train.y)) < 2:
        raise PantheonError(
            f"the training part has a single class of {spec.target.column!r}.", "Give rows of the other classes too."
        )
    for part, table in tables.items():
        with run.output(f"features/{part}.npz") as path:
            table.save(path)
    missing = {
        column.name: float(np.isnan(values).mean()) for column, values in zip(spec.features, train.X.T, strict=True)
    }
    rows = {part: len(table) for part, table in tables.items()}
    write_json(
        run.path("features/preprocess.json"),
        {"inputs": signature_inputs(spec, train), "rows": rows, "missing_in_train": missing},
    )
    return {"inputs": len(spec.features), "train": rows["train"], "test": rows["test"]}

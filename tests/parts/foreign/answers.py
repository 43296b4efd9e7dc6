"""Compare a converted model, as it is served, with what its library answered."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from serving.model.predictor import Predictor
from tests.support.foreign import keep, published


def hand_over(made: Path, handed: Path) -> None:
    """Put what a script ``made`` into the folder ``handed``, as it is sent to be published."""
    handed.mkdir()
    for path in made.iterdir():
        if path.name in ("model.onnx", "expected.npz", "signature.json"):
            shutil.copyfile(path, handed / path.name)
    if (made / "found.json").exists():
        keep(handed, json.loads((made / "found.json").read_text()))


def rows_and_answers(made: Path, inputs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return rows for a model with these inputs, and what the original library predicts for them."""
    given = json.loads((made / "rows.json").read_text())  # Python's JSON has NaN
    rows = []
    for row in given["rows"]:
        values = list(row.values()) if isinstance(row, dict) else row
        pairs = zip(inputs, values, strict=True)
        rows.append({e["name"]: None if v != v else int(v) if e["type"] == "integer" else v for e, v in pairs})
    return rows, given["answers"]


def check_answers(made: Path, folder: Path) -> tuple[str, Predictor]:
    """Publish what a script ``made``, and check the answers. Return what was checked, and the button's predictor."""
    hand_over(made, folder / "handed-over")
    checked, predictor = published(folder / "handed-over", "their model")
    rows, answers = rows_and_answers(made, predictor.signature.raw["inputs"])
    found = predictor.predict(rows).prediction
    if predictor.signature.task == "regression":
        assert np.allclose(found, answers, rtol=1e-4, atol=1e-4)
    else:
        assert [str(each) for each in found] == [str(each) for each in answers]
    return checked, predictor


def refusal(made: Path) -> tuple[str, str]:
    """Return the cause and the cure of a conversion that failed."""
    error = json.loads((made / "error.json").read_text())
    return error["cause"], error["cure"]

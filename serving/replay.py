"""Show one request of the log, and replay it: ``python -m serving.replay ID``, a task in the workflow's environment.

The versions that answered are loaded from the store, and asked again with the same rows: their answers must be the
same. ``STATE_DIR`` names the state folder; the result is the event ``shown`` (``pantheon.events``).
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from pantheon import events
from pantheon.errors import PantheonError
from pantheon.events import report
from pantheon.file_task import state_folder
from pantheon.predictions import operations
from pantheon.store import ModelStore, open_store
from serving.features.origins import blamed, taken_out
from serving.inference import context
from serving.model.champion import message
from serving.model.explain import explain
from serving.model.predictor import Predictor, TooSlow
from serving.problems import Problem

EXPLAINED = 5  # rows of a request that are explained
CLOSE = 2e-6  # probabilities have six decimals
RETRY_SECONDS = 2.0
Row = dict[str, Any]


def shown(state: Path, id: str, again: bool = True) -> dict[str, Any]:
    """Return all that is known about a request, see ``operations.shown``; each row with ``replay`` and ``explanation``.

    ``replay`` is ``{"same": whether the answer is the same, "prediction", "probabilities", "error", "why"}``: the new
    answer or refusal, or why there is none (then ``same`` is None). ``explanation`` is that of the endpoint's
    ``:explain`` for the prediction, of the first rows; else None.

    Raises:
        PantheonError: there is no such request, or the log cannot be read.
    """
    found = operations.shown(state, id)
    for row in found["rows"]:
        row |= {"replay": None, "explanation": None}
    if again:
        store = open_store(state, retry_seconds=RETRY_SECONDS)
        asked = dict.fromkeys((row["model"], row["version"], row["shadow"]) for row in found["rows"])
        for model, version, shadow in asked:
            key = (model, version, shadow)
            rows = [row for row in found["rows"] if (row["model"], row["version"], row["shadow"]) == key]
            replay(store, model, version, rows)
    return found


def replay(store: ModelStore, model: str, version: str, rows: list[Row]) -> None:
    """Ask a version again for rows of one request, and add what it says to them."""
    status = rows[0]["status"]
    given = [each for row in rows for each in (row["input"] if isinstance(row["input"], list) else [row["input"]])]
    if status not in (200, 422) or not any(given):
        why = f"it was answered with status {status}" if any(given) else "its rows could not be read"
        for row in rows:
            row["replay"] = _not(f"{why}, so that there is nothing to repeat")
        return
    try:
        predictor = Predictor(store.get(model, version), model, version)
    except Exception as error:  # noqa: BLE001 - it was removed since, or is damaged: the rest is shown
        for row in rows:
            row["replay"] = _not(f"version {version} of {model} cannot be loaded: {message(error)}")
        return
    given, origins = taken_out(given) if predictor.features else (given, [])
    if any(origin and "views" not in origin for origin in origins):
        for row in rows:
            row["replay"] = _not("it was refused because of what the feature store had at that time")
        return
    try:
        inputs = context.without(given, predictor.signature.names)
        answer = predictor.predict(inputs, predictor.signature.task == "classification")
    except TooSlow as late:
        for row in rows:
            row["replay"] = _not(late.message)
        return
    except Problem as problem:
        problem = blamed(problem, origins)
        for row in rows:
            row["replay"] = {"same": row["error"] == problem.message, "error": problem.message}
        return
    for place, row in enumerate(rows):
        if row["status"] != 200 or len(inputs) != len(rows):
            row["replay"] = {"same": False, "prediction": answer.prediction}
            continue
        shares = answer.probabilities[place] if answer.probabilities else None
        same = alike(answer.prediction[place], row["prediction"])
        same = same and (row["probabilities"] is None or alike(shares, row["probabilities"]))
        row["replay"] = {"same": same, "prediction": answer.prediction[place], "probabilities": shares}
    try:
        for row, explained in zip(rows, explain(predictor, inputs[:EXPLAINED]), strict=False):
            row["explanation"] = explained if row["status"] == 200 else None
    except Problem:  # such as one that is not finite for typical values
        return


def _not(why: str) -> dict[str, Any]:
    return {"same": None, "why": why}


def alike(one: Any, other: Any) -> bool:
    """Return whether two answers are the same; numbers may differ in their seventh digit, as with another processor."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other))
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=CLOSE) if numbers else one == other


def main() -> int:
    events.reserve()
    top = argparse.ArgumentParser(prog="serving.replay", description=__doc__)
    top.add_argument("id")
    top.add_argument("--only-show", action="store_true", help="do not replay it")
    args = top.parse_args()
    try:
        report({"event": "shown", "value": shown(state_folder(), args.id, not args.only_show)})
    except PantheonError as error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Press the button: predict here or, from epimetheus on, by the endpoint; and what the person says about the answer."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pantheon.web.messages import Response
from serving.endpoint.dispatch import encode
from serving.endpoint.remote import Endpoint, problem_of
from serving.model.predictor import Answer, Predictor
from serving.page.answer import Spoken, spoken
from serving.page.form import row
from serving.problems import Problem

COMMENT = 2000  # characters, as the endpoint takes


def pressed(predictor: Predictor, endpoint: Endpoint, values: Mapping[str, str]) -> Spoken:
    """Return the prediction for the form's values as text; raises Problem."""
    given = row(predictor.signature, values)
    if not endpoint.active:
        return spoken(predictor, predictor.predict([given]))
    classes = predictor.signature.task == "classification"

    def here() -> Response:
        answer = predictor.predict([given])
        value = {"prediction": answer.prediction, "probabilities": answer.probabilities}
        return Response(200, encode(value), [("x-model-version", predictor.version)])

    response = endpoint.predict(predictor.model, encode({"payload": [given]}), {}, classes, here)
    if response.status >= 400:
        raise problem_of(response)
    value, headers = json.loads(response.body), dict(response.headers)
    answer = Answer(value["prediction"], value.get("probabilities") if classes else None)
    return spoken(
        predictor,
        answer,
        version=headers.get("x-model-version", ""),
        request=headers.get("x-request-id", ""),
        logged=headers.get("x-log") != "unlogged",
    )


def judgement(values: Mapping[str, str], predictor: Predictor | None) -> dict[str, Any]:
    """Return the feedback that a submitted form means, as the endpoint takes it; raises Problem."""
    correct = {"yes": True, "no": False}.get(values.get("correct", ""))
    typed, comment = values.get("value", "").strip(), values.get("comment", "").strip()[:COMMENT]
    said: dict[str, Any] = {"id": values.get("id", ""), "row": 0, "comment": comment}
    if correct is not None:
        said["correct"] = correct
    if typed and not correct:  # if it was right, the true value is what was predicted
        said["value"] = _value(typed, predictor)
    return said


def _value(typed: str, predictor: Predictor | None) -> Any:
    """Return the true value that a person typed: a class, or a number."""
    if predictor is not None and predictor.signature.task == "classification":
        return next((each for each in predictor.signature.classes if str(each) == typed), typed)
    try:
        number = float(typed)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Problem(422, f"“{typed[:40]}” is not a number.", field="value", expected="a number")
    return number

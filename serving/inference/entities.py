"""The features of the entities that the rows of a request name, as a version of a model reads them."""

from contextlib import suppress

from msgspec.structs import replace

from pantheon.entities import canonical
from serving.endpoint.dispatch import encode
from serving.features.joining import Online, refusal
from serving.inference.context import CONTEXT
from serving.inference.forms import Asked
from serving.model.predictor import ORIGIN, Predictor
from serving.problems import Problem


def joined(online: Online | None, predictor: Predictor, asked: Asked, deadline: float) -> Asked:
    """Return what is asked with the features of its entities, as this version reads them.

    Args:
        online: where they are; None: there is no feature store.

    Raises:
        Problem: 422, an entity is not known, or has no values that can be used; 503, the store does not answer.
        TooSlow: there was no time to look them up.
    """
    if not asked.entities:
        return asked
    must, entity = asked.entities == "must", predictor.features.entity if predictor.features else ""
    if must and (why := refusal(predictor)):
        raise why
    if not must and not (entity and any(type(row) is dict and entity in row for row in asked.rows)):
        return asked
    if online is None:
        raise Problem(503, "This endpoint has no feature store. Send the inputs themselves.")
    found = online.join(predictor, asked.rows, deadline, must)
    logged = []
    for sent, row, origin in zip(asked.sent, found.rows, found.origins, strict=True):
        along = {CONTEXT: sent[CONTEXT]} if CONTEXT in sent else {}
        logged.append({**along, **row, ORIGIN: origin} if origin else sent)
    missing = found.missing if any(found.missing) else []
    return replace(asked, rows=found.rows, raw=encode(logged), origins=found.origins, missing=missing)


def marked(asked: Asked, predictor: Predictor) -> Asked:
    """Return a refused request with the entities of its rows where the log has them, by which they can be forgotten."""
    entity = predictor.features.entity if predictor.features else ""
    if not asked.entities or asked.origins or not entity:
        return asked
    rows = []
    for row in asked.sent:
        with suppress(ValueError):
            if isinstance(row, dict) and entity in row:
                row = {**row, ORIGIN: {"entity": {entity: canonical(row[entity])}}}
        rows.append(row)
    try:
        return replace(asked, raw=encode(rows))
    except UnicodeEncodeError:  # half a character
        return asked

"""Answer queries of commands about a deployment's files: ``python -m pantheon.worker ask QUESTION --given JSON``.

The command line may run where the services' folders are not readable, so it opens none of them. Answers are JSON.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.routing import operations as routing
from pantheon.state import set_served
from pantheon.store import open_store, operations
from pantheon.workflow import datasets, runs

RETRY_SECONDS = 2.0  # for an S3 that does not answer; short, because a user waits at the terminal


def _learn(state: Path) -> list[str]:
    from pantheon import judged  # imports polars: only where it is used

    return judged.learn(state, open_store(state, retry_seconds=RETRY_SECONDS))


def _test(state: Path, model: str, challenger: str) -> dict[str, Any]:
    from pantheon import judged

    return judged.test(state, open_store(state, retry_seconds=RETRY_SECONDS), model, challenger)


def _predictions(operation: str) -> Callable[..., Any]:
    def work(state: Path, **given: Any) -> Any:
        from pantheon.predictions import operations  # imports polars: only where it is used

        return getattr(operations, operation)(state, **given)

    return work


def _features(operation: str) -> Callable[..., Any]:
    def work(state: Path, **given: Any) -> Any:
        from pantheon.features import operations  # only where it is used

        return getattr(operations, operation)(state, **given)

    return work


MODELS: dict[str, Callable[..., Any]] = {
    "models.aliases": operations.aliases,
    "models.list": operations.listed,
    "models.show": operations.described,
    "models.metrics": operations.metrics,
    "models.verify": operations.verified,
    "models.plan": operations.plan,
    "models.promote": operations.promote,
    "models.rollback": operations.rollback,
    "models.number": operations.number,
    "route.show": routing.show,
    "route.weights": routing.weights,
    "route.pin": routing.pin,
    "route.header": routing.header,
    "route.sticky": routing.sticky,
    "route.shadow": routing.shadow,
    "route.bandit": routing.bandit,
    "route.clear": routing.clear,
}
FOLDERS: dict[str, Callable[..., Any]] = {
    "models.remove": lambda state, found: operations.remove(
        state, open_store(state, retry_seconds=RETRY_SECONDS), found
    ),
    "models.waiting": lambda state: operations.waiting(open_store(state, retry_seconds=RETRY_SECONDS)),
    "route.learn": _learn,
    "route.test": _test,
    "predictions.list": _predictions("listed"),
    "predictions.show": _predictions("shown"),
    "predictions.forget": _predictions("forget"),
    "features.list": _features("listed"),
    "features.show": _features("shown"),
    "features.at": _features("at"),
    "features.get": _features("online"),
    "features.backfill": _features("backfill"),
    "features.materialize": _features("materialize"),
    "features.forget": _features("forget"),
    "dataset": datasets.is_known,
    "dataset.leave_out": datasets.leave_out,
    "serve": set_served,
    "runs": runs.listed,
    "runs.look": runs.look,
}


def answer(state: Path, question: str, given: dict[str, Any], called: str | None = None) -> Any:
    """Return the answer to one query.

    Args:
        state: the deployment's state folder.
        given: the query's arguments by name.
        called: the path of that folder on the caller's side; a container has it at another path.

    Raises:
        PantheonError: the query does not exist, or it failed.
    """
    try:
        return translated(_answer(state, question, given), str(state), called or str(state))
    except PantheonError as error:
        cause, cure = (translated(text, str(state), called or str(state)) for text in (error.cause, error.cure))
        raise PantheonError(cause, cure, error.status) from None


def translated(value: Any, state: str, called: str) -> Any:
    """Return the value with paths in the state folder as they are on the caller's side."""
    if isinstance(value, str):
        return re.sub(rf"(?<![\w/]){re.escape(state)}/", lambda _: f"{called}/", value)  # not in s3://pantheon/models
    if isinstance(value, dict):
        return {key: translated(item, state, called) for key, item in value.items()}
    return [translated(item, state, called) for item in value] if isinstance(value, list) else value


def _answer(state: Path, question: str, given: dict[str, Any]) -> Any:
    if question in MODELS:
        return msgspec.to_builtins(MODELS[question](open_store(state, retry_seconds=RETRY_SECONDS), **given))
    if question in FOLDERS:
        return msgspec.to_builtins(FOLDERS[question](state, **given))
    raise PantheonError(f"there is no query {question!r}.", f"Queries: {', '.join([*MODELS, *FOLDERS])}.")

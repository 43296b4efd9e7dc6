"""Query a deployment about its runs and models, whose files this machine may not be able to read.

The page answers over HTTP in milliseconds. If it is down or cannot answer, a task in the workflow's environment does.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pantheon.deployment import logins
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.web.client import Client, NoAnswer
from pantheon.workflow.runs import Listed, Progress

T = TypeVar("T")
TIMEOUT = 5.0  # seconds to wait for the page
POLL_SECONDS = 0.2


class Refused(msgspec.Struct, frozen=True):
    """A champion that the page cannot serve; ``version`` is empty if the champion itself cannot be read."""

    version: str
    why: str
    since: str


class Routed(msgspec.Struct, frozen=True):
    """A model of the endpoint: why its routing policy cannot be followed, as sentences."""

    model: str
    problems: list[str] = []
    refused: dict[str, str] = {}


class EndpointHealth(msgspec.Struct, frozen=True):
    """What the endpoint's ``/healthz`` says about its models."""

    models: list[Routed] = []


class Health(msgspec.Struct, frozen=True):
    """What the page's ``/healthz`` says about the served model; empty without one."""

    model: str | None = None
    version: str | None = None
    since: str | None = None
    refused: Refused | None = None


def ask(deployment: Deployment, engine: Engine, question: str, *, service: str = "workflow", **given: Any) -> Any:
    """Run a query of ``pantheon.inside`` as a task of a service, and return its answer.

    Args:
        service: whose folders the task can write.

    Raises:
        PantheonError: the query failed, or the task cannot be run.
    """
    values: list[Any] = []
    arguments = ["ask", question, "--given", json.dumps(given)]
    if engine.shares_folders:  # if not, files are named as pods see them
        arguments += ["--called", str(deployment.state)]
    Task(engine, service=service)(arguments, lambda event: values.append(event["value"]))
    if not values:
        raise PantheonError(
            "the workflow task ended without an answer.", "Look at its log: `logs --service workflow`", 1
        )
    return values[-1]


def forget(deployment: Deployment, engine: Engine, column: str, value: str) -> dict[str, Any]:
    """Delete predictions from the log, in a task of the service that may write it; see ``keep.forget``."""
    writer = next((each.name for each in engine.planned() if each.name == "predictions"), "workflow")
    done: dict[str, Any] = ask(deployment, engine, "predictions.forget", service=writer, column=column, value=value)
    return done


def replayed(engine: Engine, id: str, again: bool = True) -> dict[str, Any]:
    """Return what is known about one request of the endpoint, and the answer that its version gives again.

    Returns:
        As ``serving.replay.shown``.

    Raises:
        PantheonError: there is no such request, or the log cannot be read.
    """
    found: dict[str, Any] = {}
    arguments = [id, *([] if again else ["--only-show"])]
    Task(engine, "serving.replay")(arguments, lambda event: found.update(event["value"]))
    return found


def models(deployment: Deployment, engine: Engine, operation: str, model: str, **given: Any) -> Any:
    """Return the result of an operation of ``pantheon.store.operations`` on a model: ``list``, ``show``, ``verify`` …

    Raises:
        PantheonError: as the operation does; or the store does not answer.
    """
    return ask(deployment, engine, f"models.{operation}", model=model, **given)


def runs(deployment: Deployment, engine: Engine) -> list[Listed]:
    """Return every run, newest first."""
    answer = _page(engine, "/runs.json", list[Listed], logins.headers(deployment))
    if answer and any(run.state == "damaged" for run in answer):
        answer = None  # only the task names the files as they are called here
    return _typed(ask(deployment, engine, "runs"), list[Listed]) if answer is None else answer


def look(deployment: Deployment, engine: Engine, run: str) -> Progress:
    """Return the progress of a run; ``latest`` is the newest.

    Raises:
        PantheonError: the run does not exist.
    """
    answer = _page(engine, f"/runs.json?run={run}", Progress, logins.headers(deployment))
    return _typed(ask(deployment, engine, "runs.look", run=run), Progress) if answer is None else answer


def _typed(answer: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise PantheonError(
            f"the workflow task gave an unusable answer: {error}.", "Update all services: `up`", 1
        ) from None


def aliases(deployment: Deployment, engine: Engine, model: str) -> dict[str, dict[str, Any]]:
    """Return every alias of a model: ``{alias: {"version", "since", "by", "note", "previous"}}``.

    Raises:
        PantheonError: the store does not answer.
    """
    by_name: dict[str, dict[str, Any]] = models(deployment, engine, "aliases", model)
    return by_name


def champion(deployment: Deployment, engine: Engine, model: str) -> dict[str, Any] | None:
    """Return ``{"version", "since"}`` of a model's champion, from the page if it serves that model; None without one.

    Raises:
        PantheonError: the store does not answer.
    """
    health = _page(engine, "/healthz", Health)
    if health and health.model == model and health.version and health.since and not health.refused:
        return {"version": health.version, "since": health.since}
    alias = aliases(deployment, engine, model).get("champion")
    return {"version": alias["version"], "since": alias["since"]} if alias else None


def refusal(engine: Engine, patience: float = 0.0) -> dict[str, Any] | None:
    """Return ``{"version", "why", "since", "served"}`` of a champion that the page cannot serve; else None.

    ``served`` is the version that it serves instead, or None: then predictions get 503. None is also returned while the
    store does not answer and the page serves a copy.

    Args:
        patience: seconds to wait for the page to try again.
    """
    end = time.monotonic() + patience
    while True:
        health = _page(engine, "/healthz", Health)
        refused = health.refused if health else None
        if not health or not refused or (health.version and not refused.version):
            return None
        if time.monotonic() >= end:
            return msgspec.structs.asdict(refused) | {"served": health.version}
        time.sleep(POLL_SECONDS)


def routing_problems(engine: Engine) -> list[str]:
    """Return a sentence for everything that routing policies name and that cannot answer; none without an endpoint."""
    health = _page(engine, "/healthz", EndpointHealth, service="endpoint")
    return [
        f"{each.model}: {problem} See `bin/pantheon route show --model {each.model}`"
        for each in (health.models if health else [])
        for problem in (*each.problems, *filter(None, [each.refused.get("policy")]))
    ]


def waiting(deployment: Deployment, engine: Engine) -> list[dict[str, Any]]:
    """Return every challenger: ``[{"model", "version", "since", "by", "note"}]``.

    The page knows in milliseconds whether a run made one; only then does a task look into the store.

    Raises:
        PantheonError: the store does not answer.
    """
    listed = _page(engine, "/runs.json", list[Listed], logins.headers(deployment))
    if listed is not None and not any(run.decision == "challenger" for run in listed):
        return []
    found: list[dict[str, Any]] = ask(deployment, engine, "models.waiting")
    return found


def has_model(deployment: Deployment, engine: Engine, model: str) -> bool:
    """Return whether a model has a champion or a challenger.

    Raises:
        PantheonError: the store does not answer.
    """
    health = _page(engine, "/healthz", Health)
    if health and health.model == model and health.version:
        return True
    return bool({"champion", "challenger"} & aliases(deployment, engine, model).keys())


def _page(
    engine: Engine, path: str, kind: type[T], headers: Mapping[str, str] | None = None, service: str = "button"
) -> T | None:
    """Return the answer of a service over HTTP; None if it is down, is older than this command, or cannot answer."""
    try:
        answer = Client(engine.address(service), service, headers=headers, timeout=TIMEOUT).send("GET", path)
        return msgspec.json.decode(answer.data, type=kind) if answer.ok else None
    except (NoAnswer, PantheonError, msgspec.DecodeError):
        return None

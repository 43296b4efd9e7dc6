"""A smoke test of a running deployment; it ships with the product and uses only public interfaces."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pantheon.deployment.predict import ask, predict
from pantheon.engines import Engine, ServiceStatus
from pantheon.errors import PantheonError


def smoke(engine: Engine, address: str) -> list[dict[str, Any]]:
    """Check every part that the tier has.

    Returns:
        One ``{"check", "ok", "found"}`` per check, in order; later checks run even if one fails.
    """
    results = []

    def check(name: str, look: Callable[[], str]) -> None:
        try:
            results.append({"check": name, "ok": True, "found": look()})
        except (PantheonError, AssertionError, KeyError) as error:
            results.append({"check": name, "ok": False, "found": str(error)})

    for service in engine.status():
        check(f"{service.name} is up", partial(is_up, service))
    if engine.own_test:
        check(engine.own_test, engine.test)
    check("the model's signature", lambda: f"{len(ask(address, '/signature')[0]['inputs'])} inputs")
    check("a prediction for the example row", lambda: predict_example(address))
    check("a bad request is rejected", lambda: rejected(address))
    return results


def is_up(service: ServiceStatus) -> str:
    return expect(service.state in ("healthy", "running", "completed"), service.why or service.state)


def expect(ok: bool, found: str) -> str:
    if not ok:
        raise AssertionError(found)
    return found


def predict_example(address: str) -> str:
    signature, _ = ask(address, "/signature")
    row = {column["name"]: column.get("example") for column in signature["inputs"]}
    answer = predict(address, [row])  # as the command does: with probabilities if the model has some
    return expect(len(answer["prediction"]) == 1, f"{answer['prediction'][0]} by version {answer['version']}")


def rejected(address: str) -> str:
    try:
        ask(address, "/predict", {"payload": [{"no such field": 1}]})
    except PantheonError as error:
        return expect("no such field" in error.cause, error.cause)
    raise AssertionError("a row with an unknown field was accepted")

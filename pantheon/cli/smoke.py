"""A smoke test of a deployment that is up; it ships with the product and uses what any user of it can reach."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from pantheon.cli.predict import ask
from pantheon.engines import Engine, ServiceStatus
from pantheon.errors import PantheonError


def smoke(engine: Engine, address: str, tier: str) -> list[dict[str, Any]]:
    """Ask every part that the tier has.

    Returns:
        One ``{"check", "ok", "found"}`` for each check, in order; a check that fails does not stop the next.
    """
    results = []

    def check(name: str, look: Callable[[], str]) -> None:
        try:
            results.append({"check": name, "ok": True, "found": look()})
        except (PantheonError, AssertionError, KeyError) as error:
            results.append({"check": name, "ok": False, "found": str(error)})

    for service in engine.status():
        check(f"{service.name} is up", partial(is_up, service))
    check("the model's signature", lambda: f"{len(ask(address, '/signature', tier)[0]['inputs'])} inputs")
    check("a prediction from its own example", lambda: predict_example(address, tier))
    check("a bad request is refused", lambda: refused(address, tier))
    return results


def is_up(service: ServiceStatus) -> str:
    return expect(service.state in ("healthy", "running", "completed"), service.why or service.state)


def expect(ok: bool, found: str) -> str:
    if not ok:
        raise AssertionError(found)
    return found


def predict_example(address: str, tier: str) -> str:
    signature, _ = ask(address, "/signature", tier)
    row = {column["name"]: column.get("example") for column in signature["inputs"]}
    answer, version = ask(address, "/predict", tier, json.dumps({"payload": [row]}).encode())
    return expect(len(answer["prediction"]) == 1, f"{answer['prediction'][0]} by version {version}")


def refused(address: str, tier: str) -> str:
    try:
        ask(address, "/predict", tier, b'{"payload": [{"no such field": 1}]}')
    except PantheonError as error:
        return expect("no such field" in error.cause, error.cause)
    raise AssertionError("a row with an unknown field was accepted")

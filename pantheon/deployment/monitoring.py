"""Ask the monitor, as a task in its own environment, and train a model again if it says so."""

import json
from typing import Any

from pantheon import durations
from pantheon.deployment import execution
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.tiers import Tier

SERVICE, MODULE = "monitor", "pantheon.monitoring"


def ask(engine: Engine, question: str, **given: Any) -> Any:
    """Return the answer to a question of ``pantheon.monitoring.work``.

    Raises:
        PantheonError: the tier has no monitor, or the question failed.
    """
    if SERVICE not in {each.name for each in engine.planned()}:
        raise PantheonError("this deployment has no monitor.", "It comes with `make tier-epimetheus up`.")
    engine.prepare(["monitoring"])
    values: list[Any] = []
    arguments = ["ask", question, "--given", json.dumps(given)]
    Task(engine, MODULE, SERVICE)(arguments, lambda event: values.append(event["value"]))
    if not values:
        raise PantheonError("the monitor ended without an answer.", "Look at its log: `logs --service monitor`", 1)
    return values[-1]


def retrain(deployment: Deployment, engine: Engine, tier: Tier, due: dict[str, str]) -> dict[str, Any]:
    """Train the models again that are due, one after another, if there is feedback and no pause.

    Args:
        due: model → why.

    Returns:
        Model → ``{"start", "why", "outcome"}``; the outcome is that of the run, if there was one.

    Raises:
        PantheonError: a run failed; the deployed model does not change.
    """
    found: dict[str, Any] = {}
    setting = deployment.settings.retrain
    for model, why in due.items():
        if setting == "off":
            found[model] = {"start": False, "why": "retraining is off (RETRAIN=off)."}
            continue
        more = {"cool_down": durations.seconds(setting)} if setting else {}
        answer = ask(engine, "retrain", model=model, why=why, **more)
        found[model] = {"start": answer["start"], "why": answer["why"]}
        if answer["start"]:
            made = answer["retraining"]
            ask(engine, "begun", run=made["run"])
            found[model]["outcome"] = execution.run(deployment, engine, tier, made["dataset"], new=made["run"])
    return found

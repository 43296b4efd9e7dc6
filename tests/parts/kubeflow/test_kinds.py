"""The kinds of the service: each has a controller, and importing all of them needs no heavy library."""

import json
import subprocess
import sys

from pantheon.kubeflow.contract import CONTROLLERS
from pantheon.kubeflow.controllers import load
from tests.support import ROOT

HEAVY = {"kfp", "optuna", "skopt", "numpy", "polars", "kubernetes", "kubeflow_katib_api", "pydantic", "boto3"}


def test_every_kind_has_a_controller_and_names_of_its_own() -> None:
    found = load()
    assert found.keys() == CONTROLLERS.keys()
    names: list[str] = []
    for kind, controller in found.items():
        assert controller.kind.name == kind
        names += [controller.kind.plural, kind.lower(), *controller.kind.short]
        assert all("/" in version for version in controller.kind.api_versions)
        assert "logs" not in controller.actions, "an address of the API"
    assert len(set(names)) == len(names)


def test_the_service_stays_small() -> None:
    code = "import sys, json; from pantheon.kubeflow.controllers import load; load(); print(json.dumps([*sys.modules]))"
    command = [sys.executable, "-P", "-c", code]
    printed = subprocess.check_output(command, env={"PYTHONPATH": str(ROOT)}, text=True)
    assert not HEAVY & set(json.loads(printed)), "import these in functions, or use them in processes"

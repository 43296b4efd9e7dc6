"""`bin/pantheon apply | get | describe | delete` on a deployment of persephone and Kubeflow's service alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.waiting import until

pytestmark = pytest.mark.slow

TIERS = ROOT / "tests" / "support" / "kubeflow_tier"
MANIFEST = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: shop, labels: {team: ithaca}}
spec:
  predictor:
    model: {modelFormat: {name: onnx}, storageUri: pantheon://robots/champion}
"""
TRAINJOB = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: fit}
spec:
  runtimeRef: {name: plainml-distributed}
  trainer: {command: [python, -c, "import time; time.sleep(600)"]}
"""
SHOP = "inferenceservice.serving.kserve.io"


@pytest.fixture
def tentacle(tmp_path: Path) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path / "home")
    made.settings["PANTHEON_TIERS"] = str(TIERS)
    try:
        made("up", "tentacle", "--no-run")
        yield made
    finally:
        made("destroy", "--confirm", "yes")
        assert_nothing_left(made.home)


def test_objects_have_the_manners_of_kubectl(tentacle: Pantheon, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(MANIFEST)
    empty = tentacle("get", "isvc")
    assert (empty.out, empty.err) == ("", "No resources found in default namespace.\n")
    assert tentacle("apply", "-f", str(file)).out == f"{SHOP}/shop created\n"
    assert tentacle("apply", "-f", str(file)).out == f"{SHOP}/shop unchanged\n"
    file.write_text(MANIFEST.replace("champion", "7"))
    assert tentacle("apply", "-f", str(file.parent), "--json").json[0]["action"] == "configured"

    def reason() -> str:
        found = tentacle("get", "inferenceservices/shop", "-o", "json").json
        conditions = found["status"].get("conditions") or [{"message": ""}]
        return str(conditions[-1]["message"])

    until(lambda: reason().startswith("this deployment has no endpoint"), what="the controller has looked")
    title, row = tentacle("get", "InferenceService", "-A", "-o", "wide").out.splitlines()
    assert title.split() == [
        *("NAMESPACE", "NAME", "URL", "READY", "PREV", "LATEST", "PREVROLLEDOUTREVISION", "LATESTREADYREVISION"),
        *("AGE", "BY"),
    ]
    assert row.split()[:3] == ["default", "shop", "False"]
    assert title.index("READY") == row.index("False")
    printed = yaml.safe_load(tentacle("get", "isvc", "shop", "-o", "yaml").out)
    assert (printed["metadata"]["generation"], printed["metadata"]["labels"]) == (2, {"team": "ithaca"})
    described = tentacle("describe", "isvc", "shop").out
    assert "Name:         shop\n" in described
    assert "storageUri: pantheon://robots/7\n" in described
    assert "this deployment has no endpoint, which serves InferenceServices." in described

    printed["metadata"]["resourceVersion"] = "1"
    file.write_text(json.dumps(printed))
    conflict = tentacle("apply", "-f", str(file), check=False)
    assert (conflict.status, conflict.message.startswith("inferenceservices/shop in default has changed")) == (1, True)

    for arguments, status, said in [
        (("get", "isvc", "nobody"), 1, "there is no inferenceservices 'nobody' in the namespace default."),
        (("get", "isvcs"), 2, "there is no kind 'isvcs' here. Did you mean"),
        (("describe", "isvc"), 2, "no name is given. Names: `bin/pantheon get isvc -A`"),
        (("delete", "isvc/nobody"), 1, "there is no inferenceservices 'nobody'"),
        (("apply", "-f", str(tmp_path / "none.yaml")), 1, f"{tmp_path / 'none.yaml'} cannot be read"),
        (("apply",), 2, "no file is named."),
        (("suspend", "isvc", "shop"), 2, "inferenceservices have no action 'suspend'."),
        (("resume", "trainjob/nobody"), 1, "there is no trainjobs 'nobody'"),
        (("suspend", "trainjob"), 2, "no name is given. Names: `bin/pantheon get trainjob -A`"),
        (("get", "isvc/shop", "-o", "xml"), 2, "there is no output 'xml'."),
    ]:
        answer = tentacle(*arguments, check=False)
        assert (answer.status, answer.message.startswith(said)) == (status, True), answer
    bad = tmp_path / "bad.yaml"
    bad.write_text(MANIFEST.replace("predictor", "predictr"))
    refused = tentacle("apply", "-f", str(bad), check=False)
    assert refused.status == 2
    assert refused.message == "spec.predictr: there is no such field. Did you mean predictor?"

    assert tentacle("delete", "isvc", "nobody", "--ignore-not-found").out == ""
    bad.write_text(TRAINJOB)
    fit = "trainjob.trainer.kubeflow.org/fit"
    assert tentacle("apply", str(bad)).out == f"{fit} created\n"
    assert tentacle("suspend", "trainjob", "fit").out == f"{fit} suspended\n"
    until(lambda: "Suspended" in tentacle("get", "trainjobs").out, what="its node has ended")
    assert tentacle("resume", "trainjob/fit", "--json").json[0]["action"] == "resumed"
    until(lambda: "Running" in tentacle("get", "trainjobs").out, what="it runs again")
    assert tentacle("delete", "trainjob", "fit").status == 0
    file.write_text(MANIFEST)
    assert tentacle("delete", "-f", str(file)).out == f'{SHOP} "shop" deleted\n'
    assert tentacle("get", "isvc", check=False).out == ""


def test_a_deployment_without_kubeflow_says_where_it_comes_from(tmp_path: Path) -> None:
    made = make_pantheon(tmp_path / "home")
    try:
        made("up", "persephone", "--no-run")
        answer = made("get", "experiments", check=False)
        assert answer.status == 2
        assert answer.message == (
            "this deployment does not have Kubeflow, which the tier kraken adds. Grow to it: `make tier-kraken up`"
        )
    finally:
        made("destroy", "--confirm", "yes")

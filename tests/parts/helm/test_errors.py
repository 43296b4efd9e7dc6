"""Wrong values: sentences that say what to change."""

from typing import Any

import pytest

from tests.support import helm
from tests.support.helm import CHART, TIERS

CASES: dict[str, tuple[int, dict[str, Any], str]] = {
    "a variant without its component": (
        3,
        {"pycaret": {"enabled": True}},
        "pycaret.enabled needs JupyterLab, which runs its notebooks. Set jupyter.enabled to true.",
    ),
    "two variants": (
        8,
        {"pycaret": {"enabled": True}, "kserve": {"enabled": True}},
        "kserve.enabled and pycaret.enabled are two variants of a tier. Set one of them to false.",
    ),
    "two at once": (
        1,
        {"frontend": {"enabled": True}, "dvc": {"enabled": True}},
        "frontend.enabled needs the endpoint. Set endpoint.enabled to true.\n- dvc.enabled needs an S3",
    ),
    "an autoscaler that cannot scale": (
        7,
        {"endpoint": {"autoscaler": {"enabled": True, "minReplicas": 9}}},
        "endpoint.autoscaler.minReplicas is 9, but maxReplicas is 5. Set maxReplicas to at least 9.",
    ),
    "an S3 without keys": (
        5,
        {"s3": {"external": {"endpoint": "https://s3.example.com"}}},
        "s3.external.endpoint needs keys.",
    ),
    "a database without its password": (
        3,
        {"postgres": {"external": {"host": "db"}}},
        "postgres.external.host needs its password.",
    ),
    "addresses of services that do not run": (
        1,
        {"expose": {"by": "ingress", "hosts": {"jupyter": "j.example.com"}}},
        "expose.hosts.jupyter names a service that this tier does not run. Remove it, or set jupyter.enabled to true.",
    ),
    "addresses that nobody serves": (
        1,
        {"expose": {"hosts": {"button": "b.example.com"}}},
        "expose.hosts has names, but expose.by is none. Set expose.by to ingress or gateway.",
    ),
    "a value that does not exist": (1, {"replica": 2}, "additional properties 'replica' not allowed"),
    "a misspelled service": (1, {"pods": {"buton": {}}}, "additional properties 'buton' not allowed"),
    "a size that is none": (1, {"volumes": {"data": {"size": "big"}}}, "does not match pattern"),
    "an unknown tier": (1, {"tier": "hades"}, "value must be one of 'persephone'"),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_values_are_refused_with_what_to_change(case: str) -> None:
    number, given, said = CASES[case]
    done = helm.template(TIERS[number - 1], given)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("number", [1, 8])
def test_helm_finds_nothing_wrong_with_the_chart(number: int) -> None:
    done = helm.run("lint", "--strict", str(CHART), "-f", str(helm.values(TIERS[number - 1])))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout

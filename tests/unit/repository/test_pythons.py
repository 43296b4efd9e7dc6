"""One lock serves Python 3.11, 3.12 and 3.13, with the same versions where models are made or asked."""

import re

import pytest
from packaging.requirements import Requirement

from tests.support import ROOT
from tests.unit.repository.test_repository import TEXTS

PYTHONS = ("3.11", "3.12", "3.13")
LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
# What differs elsewhere: Airflow's own packages, Evidently's report, and the converter of published XGBoost models.
SAME = ("cli", "workflow", "serving", "kserve", "feast", "monitoring", "kubeflow", "jupyter", "hub", "pycaret", "dev")


def pins(lock: str, python: str) -> dict[str, str]:
    """Return the versions that a lock installs for a version of Python on Linux, by package."""
    machine = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    machine |= {"platform_machine": "x86_64", "implementation_name": "cpython"}
    machine |= {"platform_python_implementation": "CPython", "extra": ""}
    machine |= {"python_version": python, "python_full_version": f"{python}.2"}
    lines = re.findall(r"^[a-z0-9].*?(?= \\$)", (ROOT / "requirements" / f"{lock}.txt").read_text(), flags=re.M)
    asked = [Requirement(line) for line in lines]
    installed = [each for each in asked if not each.marker or each.marker.evaluate(machine)]
    return {re.sub("[._]", "-", each.name): str(each.specifier) for each in installed}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_we_ask_for_on_every_python(lock: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.in").read_text().splitlines()
    asked = [Requirement(line.partition("#")[0]) for line in lines if re.match(r"[a-z]", line)]
    for python in PYTHONS:
        found = pins(lock, python)
        wanted = {re.sub("[._]", "-", each.name.lower()) for each in asked if not each.marker or each.marker.evaluate()}
        assert wanted <= found.keys(), python


@pytest.mark.parametrize("lock", SAME)
def test_versions_are_the_same_on_every_python(lock: str) -> None:
    """So the same data, parameters and seed give the same model and metrics."""
    reference = pins(lock, PYTHONS[0])
    assert reference
    for python in PYTHONS[1:]:
        other = pins(lock, python)
        assert {name: v for name, v in other.items() if reference.get(name, v) != v} == {}, python


def test_no_path_names_a_version_of_python() -> None:
    """Environments have a link ``packages``, see bin/bootstrap."""
    named = re.compile(r"lib/python3\.\d|\"python3\.\d+\" / \"site-packages\"")
    assert [str(path.relative_to(ROOT)) for path, text in TEXTS.items() if named.search(text)] == []

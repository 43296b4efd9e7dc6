"""The chart's files, without Helm: they say the same as the files that they repeat."""

import json
import runpy
from typing import Any

import pytest
import yaml

from pantheon.components import read as read_components
from pantheon.tiers import Tier, all_tiers
from tests.support import ROOT

CHART = ROOT / "helm" / "pantheon"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
# Components that values switch on; the others come with them.
SWITCHES = {
    "dataflow",
    "airflow",
    "jupyter",
    "s3",
    "dvc",
    "endpoint",
    "frontend",
    "monitoring",
    "feast",
    "kserve",
    "pycaret",
}
COME_ALONG = {"workflow", "button", "postgres", "valkey", "evidently"}


def properties(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """All values of a schema with their paths."""
    found = []
    for name, each in schema.get("properties", {}).items():
        found += [(f"{path}{name}", each), *properties(each, f"{path}{name}.")]
    return found


def test_every_value_has_a_description_and_unknown_ones_are_refused() -> None:
    every = [*properties(SCHEMA), *properties(SCHEMA["$defs"]["pod"], "pod.")]
    assert len(every) > 100
    for path, each in every:
        assert each["description"].strip().endswith("."), path
        if "properties" in each:
            assert each["additionalProperties"] is False, path
    assert SCHEMA["additionalProperties"] is False


def test_every_default_is_in_the_schema() -> None:
    known = {path for path, _ in properties(SCHEMA)}

    def check(values: dict[str, Any], path: str = "") -> None:
        for name, value in values.items():
            if path == "pods.all.":
                assert name in SCHEMA["$defs"]["pod"]["properties"]
            else:
                assert f"{path}{name}" in known
                if isinstance(value, dict) and not path.endswith("ontext."):
                    check(value, f"{path}{name}.")

    check({name: value for name, value in DEFAULTS.items() if not name.endswith("Context")})


def test_the_table_of_the_readme_is_made_from_the_schema() -> None:
    script = runpy.run_path(str(ROOT / "bin" / "describe-values"))
    assert (CHART / "README.md").read_text() == script["table"](), "run bin/describe-values"


@pytest.mark.parametrize("tier", [t for t in all_tiers() if t.number <= 8], ids=lambda tier: tier.name)
def test_a_tiers_values_switch_on_its_components(tier: Tier) -> None:
    values = yaml.safe_load((tier.folder / "values.yaml").read_text())
    components = {component.name for component in read_components(tier.compose_file)}
    assert components <= SWITCHES | COME_ALONG, "a new component needs a switch"
    assert values.pop("tier") == tier.name
    assert values == {name: {"enabled": True} for name in components & SWITCHES}


@pytest.mark.parametrize("name", ["once.sh", "postgresql.conf", "valkey-health.sh"])
def test_files_of_the_chart_are_those_of_the_compose_files(name: str) -> None:
    """Helm reads files of the chart only, and follows links with a warning in every command."""
    assert (CHART / "files" / name).read_bytes() == (ROOT / "compose" / name).read_bytes()

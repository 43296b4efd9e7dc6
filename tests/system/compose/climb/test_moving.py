"""From the last tier without a component, to the other engine, and back to an earlier tier."""

import pytest

from pantheon.engines.compose.client import Api
from tests.support.climb import checksums, versions
from tests.support.compose import Composed
from tests.support.compose_climb import AIRFLOW, LAST, history, running

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]


def test_without_airflow_the_dataflow_runs_its_stages_and_the_history_is_kept_on_both_engines(
    last: Composed, docker: Api
) -> None:
    before = history(last)
    assert {line.split()[0] for line in before} == {"etl", "notebooks"}
    said = last("up", "prometheus", "--without", "airflow", "--no-run").err
    (stops,) = [line for line in said.splitlines() if line.startswith("  stops")]
    assert all(name in stops for name in (*AIRFLOW, "jupyter", "s3", "feast", "valkey"))
    assert running(docker, last) == {"button", "dataflow"}
    run = last("run", "--json", timeout=400).json
    assert run["decision"] in ("promoted", "refused")

    files, models = checksums(last.state), versions(last)
    refused = last("up", LAST, "--engine", "local", check=False)
    for folder in ("notebooks", "repositories/main.git", "volumes/airflow", "volumes/jupyter"):
        assert folder in refused.message
    move = ["--engine", "local", "--without", "none", "--no-run", "--confirm", "yes"]
    said = last("up", LAST, *move, timeout=400).err
    assert "moving from compose to local" in said
    assert running(docker, last) == set()
    assert history(last) == before
    assert versions(last) == models
    last("up", "--engine", "compose", "--no-run", timeout=400)
    assert history(last) == before
    assert versions(last) == models
    assert checksums(last.state) == files


def test_going_back_stops_services_of_the_higher_tier_and_keeps_their_data(last: Composed, docker: Api) -> None:
    button, files, models = last.inspect(docker)["Id"], checksums(last.state), versions(last)
    said = last("up", "daedalus", "--no-run").err
    assert f"going back in place: {LAST} → daedalus" in said
    assert running(docker, last) == {"button"}
    assert last.inspect(docker)["Id"] == button
    assert files.items() <= checksums(last.state).items()
    assert versions(last) == models
    assert (last.state / "volumes" / "metadata" / "18" / "PG_VERSION").read_text() == "18\n"
    assert list((last.state / "volumes" / "airflow" / "logs").rglob("*.log"))

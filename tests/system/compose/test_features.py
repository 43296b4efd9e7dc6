"""The feature store in containers: published on this machine behind a login, with no way out; Feast's command works."""

import json
from collections.abc import Iterator

import psutil
import pytest

from pantheon.engines.compose.client import Api
from tests.support.compose import Composed, clear, docker_command, make_composed
from tests.support.smithing import API, SERVER, TIERS, WEB, ask, password
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]
IDLE_BYTES = 600 * 1024 * 1024
ADDED = ("feast", "valkey", "postgres")


@pytest.fixture(scope="module")
def smithing(tmp_path_factory: pytest.TempPathFactory, docker: Api, stand_in: None) -> Iterator[Composed]:
    made = make_composed(tmp_path_factory.mktemp("smithing"))
    made.settings["PANTHEON_TIERS"] = str(TIERS)
    try:
        made("up", "persephone", "--no-run", timeout=600)
        button = made.inspect(docker)
        made("up", "smithing", "--no-run", timeout=1000)
        assert made.inspect(docker)["Id"] == button["Id"], "growing recreates nothing"
        yield made
    finally:
        clear(made)


def test_only_feasts_own_apps_are_published_and_they_need_the_login(smithing: Composed, docker: Api) -> None:
    published = {
        int(entry["HostPort"]) - smithing.offset: entry["HostIp"]
        for name in ADDED
        for entries in smithing.inspect(docker, name)["NetworkSettings"]["Ports"].values()
        for entry in entries or []
    }
    assert published == {SERVER: "127.0.0.1", WEB: "127.0.0.1"}
    for port, path in ((SERVER, "/health"), (WEB, "/projects-list.json")):
        assert ask(smithing, port, path, headers={})[0] == 401
        assert ask(smithing, port, path)[0] == 200
    assert ask(smithing, API, "/healthz")[0] == 0, "only other services reach the API"


def test_no_container_has_a_way_out_and_none_has_a_secret_in_its_definition(smithing: Composed, docker: Api) -> None:
    front, inside = json.loads(
        docker_command("network", "inspect", *(f"{smithing.name}_{name}" for name in ("front", "inside")))
    )
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert inside["Internal"]
    secrets = [file for file in (smithing.state / "secrets").rglob("*") if file.is_file()]
    for name in ADDED:
        found = smithing.inspect(docker, name)
        assert found["HostConfig"]["ReadonlyRootfs"]
        assert set(found["NetworkSettings"]["Networks"]) <= {f"{smithing.name}_front", f"{smithing.name}_inside"}
        for file in secrets:
            assert file.read_text().strip() not in json.dumps(found["Config"])


def test_the_idle_feature_store_takes_less_than_600_mb(smithing: Composed, docker: Api) -> None:
    mains = [psutil.Process(smithing.inspect(docker, name)["State"]["Pid"]) for name in ADDED]
    family = [each for main in mains for each in (main, *main.children(recursive=True))]
    assert sum(each.memory_full_info().pss for each in family) < IDLE_BYTES


def test_feasts_command_runs_in_a_container(smithing: Composed) -> None:
    assert "pantheon" in smithing("feast", "projects", "list", timeout=400).out
    assert smithing("feast", "teardown", check=False, timeout=400).status == 2
    assert (smithing.state / "feast" / "feature_store.yaml").is_file()


def test_a_killed_database_and_online_store_come_back(smithing: Composed, docker: Api) -> None:
    for name in ("postgres", "valkey"):
        docker_command("kill", "--signal", "KILL", f"{smithing.name}-{name}-1")
    smithing("up", "smithing", "--no-run", timeout=400)
    until(lambda: ask(smithing, WEB, "/api/v1/entities?project=pantheon")[0] == 200)
    assert password(smithing)

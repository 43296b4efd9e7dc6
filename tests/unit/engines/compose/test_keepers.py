"""What the containers that keep ports open add to the definition."""

from pathlib import Path
from typing import Any

from pantheon.engines.compose.keepers import added, ahead, left_out
from pantheon.engines.definition.model import Model

RESET = object()


def model(networks: dict[str, Any]) -> Model:
    service = {
        "image": "pantheon/serving:dev",
        "deploy": {"update_config": {"order": "start-first"}},
        "ports": [{"target": 8085, "published": "8085"}],
        "networks": networks,
        "depends_on": {},
    }
    raw = {"services": {"endpoint": service}, "networks": {"front": {}, "inside": {"internal": True}}}
    return Model(raw, "")


def test_an_alias_of_a_service_is_its_keepers() -> None:
    given = model({"front": {"aliases": ["endpoint.internal"]}, "inside": {"aliases": ["other"]}})
    changes = added(given, "pantheon", Path("/home"), RESET)
    assert changes["endpoint-port"]["networks"] == {"front": {"aliases": ["endpoint.internal"]}}
    assert changes["endpoint"]["networks"] == {"front": {"aliases": RESET}}
    assert "networks" not in added(model({"front": None}), "pantheon", Path("/home"), RESET)["endpoint"]


def test_without_keepers_the_services_are_as_they_were() -> None:
    before = model({"front": {"aliases": ["endpoint.internal"]}})
    keeper = {"labels": {"pantheon.keeps": "endpoint"}}
    service = before.services["endpoint"] | {"networks": {"front": None}, "depends_on": {"endpoint-port": {}}}
    service = {key: value for key, value in service.items() if key != "ports"}
    changed = Model({**before.raw, "services": {"endpoint": service, "endpoint-port": keeper}}, "")
    assert left_out(changed, before).services == before.services


def test_what_a_service_needs_starts_before_it_is_replaced_and_ends_after_it() -> None:
    """Compose itself stops the old container first, and removes what is not needed any more before that."""
    alone = model({"front": None})
    needing = {**alone.services["endpoint"], "depends_on": {"kserve": {"condition": "service_healthy"}}}
    both = Model({**alone.raw, "services": {"endpoint": needing, "kserve": {"image": "pantheon/kserve:dev"}}}, "")

    def container(needs: str) -> dict[str, Any]:
        return {"Config": {"Labels": {"com.docker.compose.depends_on": needs}}}

    before = {"endpoint": container("endpoint-port:service_started:false")}
    after = {"endpoint": container("endpoint-port:service_started:false,kserve:service_healthy:false"), "kserve": {}}
    assert ahead(both, before) == [["--no-recreate", "kserve"]]
    assert ahead(alone, after) == [["--no-deps", "endpoint"]]
    assert ahead(both, after) == ahead(alone, before) == ahead(both, {}) == []

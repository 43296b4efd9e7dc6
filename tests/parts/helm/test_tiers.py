"""A tier's exact objects, and what changes from one tier to the next."""

import json

import msgspec
import pytest

from pantheon.components import read as read_components
from pantheon.state import Settings, StoreLocation
from tests.parts.helm.conftest import rendered
from tests.support import helm
from tests.support.helm import TIERS, Object, of_kind, pods

EVERY = {
    "ConfigMap settings",
    "CronJob files",
    "CronJob mover",
    "CronJob workflow",
    "Deployment button",
    "Job settings",
    "NetworkPolicy closed",
    "NetworkPolicy front",
    "NetworkPolicy inside",
    "NetworkPolicy outside",
    "PersistentVolumeClaim pantheon-data",
    "Pod test",
    "Secret pantheon-secrets",
    "Service button",
    "ServiceAccount pantheon",
}
ADDED = {
    3: {
        "ConfigMap scripts",
        "Deployment airflow",
        "Deployment airflow-dag-processor",
        "Deployment airflow-scheduler",
        "Deployment dataflow",
        "PersistentVolumeClaim pantheon-metadata",
        "Service airflow",
        "Service dataflow",
        "Service postgres",
        "StatefulSet postgres",
    },
    4: {"Deployment jupyter", "Service jupyter"},
    5: {"Job s3-buckets", "PersistentVolumeClaim pantheon-objects", "Service s3", "StatefulSet s3"},
    7: {
        "Deployment endpoint",
        "Deployment frontend",
        "Deployment monitor",
        "Deployment predictions",
        "Service endpoint",
        "Service frontend",
        "Service monitor",
        "Service predictions",
    },
    8: {
        "Deployment feast",
        "PersistentVolumeClaim pantheon-valkey",
        "Service feast",
        "Service valkey",
        "StatefulSet valkey",
    },
}


def names(objects: list[Object]) -> set[str]:
    kinds = {each["kind"] for each in objects}
    return {f"{kind} {name}" for kind in kinds for name in of_kind(objects, kind)}


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_a_tier_has_exactly_these_objects(tier: helm.Tier) -> None:
    wanted = EVERY.union(*(added for number, added in ADDED.items() if number <= tier.number))
    assert names(helm.render(tier.number)) == wanted


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_services_read_the_tier_and_who_does_what(tier: helm.Tier) -> None:
    """As the local engine derives it from the components."""
    data = of_kind(helm.render(tier.number), "ConfigMap")["settings"]["data"]
    settings = json.loads(data["deployment.json"])
    assert msgspec.to_builtins(msgspec.convert(settings, Settings)).items() >= settings.items()
    assert (settings["name"], settings["tier"], settings["engine"]) == ("demo", tier.name, "helm")
    assert settings["route"] == read_components(tier.compose_file).route()
    assert ("store.json" in data) is (tier.number >= 5)
    if tier.number >= 5:
        where = msgspec.convert(json.loads(data["store.json"]), StoreLocation)
        assert where == StoreLocation("pantheon", "http://s3:9000", "http://127.0.0.1:9000", embedded=True)


@pytest.mark.parametrize("tier", TIERS[1:], ids=lambda tier: tier.name)
def test_growing_changes_no_pod_of_the_tier_before(tier: helm.Tier) -> None:
    """Kubernetes recreates a pod if its template changes; neither do Jobs that have run, run again."""
    before, after = pods(helm.render(tier.number - 1)), pods(helm.render(tier.number))
    for name in set(before) - {"settings", "test", "workflow"}:  # no pod of the suspended CronJob runs
        assert after[name] == before[name], f"{name} would be recreated"
    jobs = [of_kind(helm.render(number), "Job") for number in (tier.number - 1, tier.number)]
    for name in set(jobs[0]) - {"settings"}:
        assert jobs[0][name]["metadata"]["name"] == jobs[1][name]["metadata"]["name"]
    assert jobs[0]["settings"]["metadata"]["name"] != jobs[1]["settings"]["metadata"]["name"], "it writes the tier"


def test_another_version_of_the_chart_recreates_no_pod() -> None:
    for name, pod in pods(helm.render(8)).items():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(pod["metadata"]["labels"]), name


def immutable(each: Object) -> object:
    """What Kubernetes refuses to change in an object of this kind."""
    spec = each.get("spec") or {}
    if each["kind"] == "Deployment":
        return spec["selector"]
    if each["kind"] == "StatefulSet":
        return {
            key: spec.get(key) for key in ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")
        }
    if each["kind"] == "PersistentVolumeClaim":
        return {key: value for key, value in spec.items() if key != "resources"}
    if each["kind"] == "Job":
        return (each["metadata"]["name"], spec["template"])
    return each["kind"]


CHANGES = [
    *((number, number + 1) for number in range(1, 8)),
    (8, 1),
    (8, "kserve"),
    (7, "replicas"),
    (6, "pycaret"),
    (8, "stopped"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_an_upgrade_changes_nothing_that_kubernetes_refuses_to_change(old: int, new: int | str) -> None:
    one = helm.render(old)
    other = helm.render(new) if isinstance(new, int) else rendered(new)
    keyed = {(each["kind"], each["metadata"]["name"]): each for each in other}
    for each in one:
        after = keyed.get((each["kind"], each["metadata"]["name"]))
        if after and not (each["kind"] == "PersistentVolumeClaim" and new == "replicas"):  # another class: a new volume
            assert immutable(after) == immutable(each), each["metadata"]["name"]


def test_volumes_and_secrets_outlive_the_release() -> None:
    kept = of_kind(helm.render(8), "PersistentVolumeClaim", "Secret")
    assert set(kept) == {
        "pantheon-data",
        "pantheon-metadata",
        "pantheon-objects",
        "pantheon-valkey",
        "pantheon-secrets",
    }
    for each in kept.values():
        assert each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_every_tier_makes_the_secrets_of_all_tiers() -> None:
    """Else a rollback from prometheus to daedalus would lose PostgreSQL's password, and its data with it."""
    (first,) = of_kind(helm.render(1), "Secret").values()
    (last,) = of_kind(helm.render(8, kserve={"enabled": True}), "Secret").values()
    assert set(first["data"]) == set(last["data"])
    wanted = read_components(TIERS[-1].definition("kserve")).secrets
    assert set(first["data"]) == {name.replace("/", ".") for name in wanted}

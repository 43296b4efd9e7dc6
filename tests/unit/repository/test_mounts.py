"""What containers write cannot redirect a mount: Docker resolves the source on the host, with root's rights."""

from pathlib import PurePosixPath

from pantheon import components
from tests.support import ROOT


def mounts() -> dict[str, list[tuple[PurePosixPath, bool]]]:
    """Service → the mounted folders in the state folder, and whether each is writable."""
    found: dict[str, list[tuple[PurePosixPath, bool]]] = {}
    for file in sorted((ROOT / "compose").glob("*.yaml")):
        services = components.load(file.read_text()).get("services") or {}
        for name, service in services.items():
            for volume in service.get("volumes") or []:
                place, end, _ = volume.partition("}/")[2].partition(":")
                if volume.startswith("${PANTHEON_STATE") and end:
                    found.setdefault(name, []).append((PurePosixPath(place), not volume.endswith(":ro")))
    return found


def test_no_service_can_replace_a_folder_that_another_one_mounts() -> None:
    found = mounts()
    sources = {place for each in found.values() for place, _ in each}
    assert PurePosixPath("repositories/main.git") in sources, "the file's format is understood"
    for service, each in found.items():
        own = {place for place, _ in each}
        for folder in (place for place, writable in each if writable):
            for source in (place for place in sources if folder in place.parents):
                assert source in own, f"{service} writes {folder} and could replace {source}: mount that too"


def test_no_service_can_write_what_the_host_obeys() -> None:
    for service, each in mounts().items():
        writable = {place.parts[0] for place, writable in each if writable}
        services = {"runs", "models", "data", "predictions", "extensions", "notebooks", "repositories"}
        allowed = services | {"features", "feast", "kubeflow", "shared", "volumes"}
        assert writable <= allowed, service
        assert all(place.parts for place, _ in each), f"{service} mounts the state folder itself"


def test_commands_read_the_log_and_only_its_services_write_it() -> None:
    found = {service: dict(each) for service, each in mounts().items()}
    log, spool = PurePosixPath("predictions"), PurePosixPath("volumes/spool")
    assert (found["workflow"][log], found["workflow"][spool]) == (False, False)
    writers = {"predictions", "monitor", "mover"}  # the monitor: its reports
    assert {service for service, each in found.items() if each.get(log)} == writers
    assert {service for service, each in found.items() if each.get(spool)} == {"predictions", "endpoint"}
    for folder in ("models", "shared"):  # a bandit's shares are in the model store, whose locks are in shared/
        assert found["predictions"][PurePosixPath(folder)]

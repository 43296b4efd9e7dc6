"""Every folder that a service can write belongs to a component that keeps it, so that a backup has it."""

from pantheon import components
from pantheon.deployment import keeping
from tests.support import ROOT
from tests.unit.repository.test_mounts import mounts


def test_every_writable_folder_is_kept_by_one_component() -> None:
    kept = [part.kept.folder for part in keeping.known()]
    assert len(kept) == len(set(kept)), "no folder is kept twice"
    written = {str(place) for each in mounts().values() for place, writable in each if writable}
    missing = [folder for folder in written if not any(f"{folder}/".startswith(f"{each}/") for each in kept)]
    assert not missing, "name them in `keeps` of the component that writes them"


def test_the_services_that_read_folders_mount_them() -> None:
    found = {service: {str(place) for place, _ in each} for service, each in mounts().items()}
    for part in keeping.known():
        service = part.kept.stopped if part.kept.save else part.kept.service
        if part.kept.without != keeping.ALL:
            assert part.kept.folder in found[service], f"{service} cannot read {part.kept.folder}"


def test_databases_and_what_refers_to_others_come_first() -> None:
    order = [part.kept.folder for part in keeping.known()]
    assert order[0] == "volumes/metadata"
    for earlier, later in (
        ("volumes/frontend", "volumes/spool"),  # feedback that waits, before the log that it goes to
        ("volumes/spool", "predictions"),
        ("volumes/spool", "volumes/objects"),  # where the log is from nemesis on
        ("volumes/features", "features"),
        ("volumes/features", "volumes/objects"),
        ("repositories", "volumes/objects"),  # DVC's files name objects
        ("kubeflow", "runs"),
        ("notebooks", "runs"),
        ("volumes/orders", "kubeflow"),
    ):
        assert order.index(earlier) < order.index(later), (earlier, later)


def test_tasks_of_backups_are_defined() -> None:
    services = components.load((ROOT / "compose" / "backup.yaml").read_text())["services"]
    for part in keeping.known():
        if part.kept.tasks:
            theirs = {*services, *part.component.services}
            assert {part.kept.service, part.kept.stopped} <= theirs

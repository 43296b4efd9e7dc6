"""A deployment of root's goes from containers, which ran as another user, to processes and back."""

import os
from pathlib import Path

import pytest

from pantheon.engines.docker_owner import NOBODYS, hand_over, owner_of

from .conftest import FIXTURE, Deployment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root's deployments change their owner"),
]


def owners(folder: Path) -> set[tuple[int, int]]:
    found = [folder, *folder.rglob("*")]
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in found}


def test_the_database_that_containers_had_is_used_by_a_process_and_given_back(deployment: Deployment) -> None:
    deployment.file = FIXTURE / "compose.yaml"
    deployment.engine().up()
    deployment.engine().down()
    volumes, secrets = deployment.state / "volumes", deployment.state / "secrets"
    outside = deployment.folder / "outside"
    outside.write_text("not of the deployment")
    (volumes / "metadata" / "link").symlink_to(outside)
    hand_over([volumes, secrets], *owner_of(deployment.state, rootless=False))
    assert owners(volumes) == owners(secrets) == {(NOBODYS, NOBODYS)}
    deployment.engine().up()
    assert {status.state for status in deployment.status().values()} == {"healthy", "completed"}
    assert owners(volumes / "metadata") == {(0, 0)}
    assert (secrets / "postgres").stat().st_mode & 0o777 == 0o600
    assert (outside.stat().st_uid, outside.stat().st_gid) == (0, 0)
    deployment.engine().down()
    hand_over([volumes], NOBODYS, NOBODYS)
    assert owners(volumes) == {(NOBODYS, NOBODYS)}
    assert outside.stat().st_uid == 0

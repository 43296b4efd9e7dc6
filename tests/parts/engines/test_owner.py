"""A deployment of root moves from containers, which ran as another user, to processes and back."""

import os
from pathlib import Path

import pytest

from pantheon.engines.compose.project import let_read
from pantheon.engines.definition.model import Model
from pantheon.engines.owner import UNUSED_ID, hand_over, owner_of
from tests.support.engines import FIXTURE, Deployment

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root's deployments change their owner"),
]


def owners(folder: Path) -> set[tuple[int, int]]:
    paths = [folder, *folder.rglob("*")]
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in paths}


def test_a_database_of_containers_is_used_by_a_process_and_handed_back(deployment: Deployment) -> None:
    deployment.file = FIXTURE / "compose.yaml"
    deployment.engine().up()
    deployment.engine().down()
    volumes, secrets = deployment.state / "volumes", deployment.state / "secrets"
    outside = deployment.folder / "outside"
    outside.write_text("not of the deployment")
    (volumes / "metadata" / "link").symlink_to(outside)
    hand_over([volumes, secrets], *owner_of(deployment.state, rootless=False))
    assert owners(volumes) == owners(secrets) == {(UNUSED_ID, UNUSED_ID)}
    deployment.engine().up()
    assert {status.state for status in deployment.status().values()} == {"healthy", "completed"}
    assert owners(volumes / "metadata") == {(0, 0)}
    assert (secrets / "postgres").stat().st_mode & 0o777 == 0o600
    assert (outside.stat().st_uid, outside.stat().st_gid) == (0, 0)
    deployment.engine().down()
    hand_over([volumes], UNUSED_ID, UNUSED_ID)
    assert owners(volumes) == {(UNUSED_ID, UNUSED_ID)}
    assert outside.stat().st_uid == 0


def test_containers_can_read_the_mounted_files_of_a_clone_under_umask_077(tmp_path: Path) -> None:
    """And no other file."""
    files = [tmp_path / "compose" / name for name in ("mounted.conf", "other.conf")] + [tmp_path / "state.conf"]
    (tmp_path / "compose").mkdir(mode=0o700)
    for path in files:
        path.write_text("content")
        path.chmod(0o600)
    binds = [{"type": "bind", "source": str(path), "target": "/x"} for path in (files[0], files[2])]
    let_read(Model({"services": {"web": {"volumes": binds}}}, "", {}), tmp_path, UNUSED_ID)
    assert [path.stat().st_mode & 0o777 for path in files] == [0o644, 0o600, 0o600]

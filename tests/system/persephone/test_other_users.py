"""Another user of this machine reads and writes nothing of a deployment, and writes nothing that runs."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.deployment import permissions
from pantheon.errors import PantheonError
from tests.support import ROOT
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.other_user import OTHER, accessible, as_other, needs_root

pytestmark = [needs_root, pytest.mark.timeout(300)]
OPEN = ["sh", "-c", 'umask 000; exec "$0" "$@"', str(ROOT / "bin" / "pantheon")]


@contextlib.contextmanager
def loosened(folder: Path) -> Iterator[None]:
    """Give the files below ``folder`` the modes that an older version left under the umask 000, and restore them."""
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if not path.is_symlink()}
    for path, mode in modes.items():
        path.chmod(mode | 0o066 | (0o011 if path.is_dir() else 0))
    try:
        yield
    finally:
        for path, mode in modes.items():
            with contextlib.suppress(FileNotFoundError):  # replaced or removed by a service
                path.chmod(mode)


def test_a_deployment_made_with_the_umask_000_is_closed(tmp_path: Path) -> None:
    made = make_pantheon(tmp_path / "home", TRIALS="1")
    try:
        made.command([*OPEN, "up", "persephone"])
        assert as_other(["ls"], made.home) == "pantheon\n", "its name, and nothing in it"
        assert accessible(made.home) == []
        as_other(["mv", "pantheon", "mine"], made.home)
        as_other(["ln", "-s", "/etc", "notes"], made.home)
        assert [path.name for path in made.home.iterdir()] == ["pantheon"]
        recorded = json.loads((made.state / "state" / "services.json").read_text())
        pids = [recorded["supervisor"], *(service["pid"] for service in recorded["services"])]
        assert all(pids)
        for pid in pids:
            assert as_other(["cat", "environ"], Path("/proc", str(pid))) == ""
    finally:
        made("down")
    assert_nothing_left(made.home)


def test_what_runs_is_not_writable(persephone: Pantheon) -> None:
    for folder in (ROOT / ".pantheon", ROOT / "pantheon", ROOT / "serving"):
        assert accessible(folder, "-writable", "!", "-type", "l") == []


@pytest.mark.parametrize("command", ["status", "up persephone"])
def test_a_command_closes_the_state_of_an_older_version(persephone: Pantheon, command: str) -> None:
    site = persephone.state / "repositories" / ".site"  # DVC's site cache: DVC unpickles what is there
    site.mkdir(exist_ok=True)
    with loosened(persephone.state):
        persephone.home.chmod(0o777)
        assert "pantheon/repositories/.site" in accessible(persephone.home, "-writable"), "the attack works"
        persephone(*command.split())
        assert accessible(persephone.home) == []
        as_other(["touch", "pantheon/repositories/.site/planted"], persephone.home)
        assert list(site.iterdir()) == []


def test_a_folder_of_another_user_is_not_used(persephone: Pantheon, tmp_path: Path) -> None:
    """Seen from that side: root's deployment, and a command of the other user."""
    tmp_path.chmod(0o755)
    planted = tmp_path / "demo"
    planted.mkdir()
    child = os.fork()
    if not child:
        os.chdir(tmp_path)
        os.setgroups([])
        os.setresgid(OTHER, OTHER, OTHER)
        os.setresuid(OTHER, OTHER, OTHER)
        try:
            permissions.make_private(Path("demo"))
        except PantheonError as error:
            os._exit(7 if "belongs to another user" in error.cause else 8)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert stat.S_IMODE(planted.stat().st_mode) == 0o755

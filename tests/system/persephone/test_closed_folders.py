"""The command line opens no files that services write: on other engines they may be on another machine."""

import sys
from pathlib import Path

import pytest

from tests.support.bundles import bundle
from tests.support.closed_folders import HOOK, guarded
from tests.support.command_line import Pantheon


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "runs",
        "models list",
        "models show",
        "models verify",
        "models promote 1",
        "models gc --dry-run",
        "up persephone",
        "test",
        "ask",
        "run",
    ],
)
def test_a_command_opens_no_files_that_services_write(persephone: Pantheon, command: str) -> None:
    guarded(persephone, *command.split())


@pytest.mark.parametrize("verb", ["run", "up persephone"])
def test_a_persons_own_file_is_sent_in(pantheon: Pantheon, tmp_path: Path, verb: str) -> None:
    pantheon("up", "persephone", "--no-run")
    file = tmp_path / "mine.csv"
    file.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 3},{'yes' if i % 7 > 3 else 'no'}\n" for i in range(300)))
    asked = ("--data", str(file), "--target", "y")
    first = guarded(pantheon, *verb.split(), *asked)
    assert "reading the columns" in first.err
    copy = pantheon.state / "data" / "mine.csv"
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == (file.read_bytes(), file.stat().st_mtime_ns)
    assert "reading the columns" not in guarded(pantheon, *verb.split(), *asked).err
    guarded(pantheon, "up", "persephone", "--data", "mine", "--no-run")
    wrong = pantheon("run", "--data", "mine", "--target", "b", check=False)
    assert "mine predicts 'y', not 'b'" in wrong.message


def test_a_model_built_elsewhere_is_sent_in(pantheon: Pantheon, tmp_path: Path) -> None:
    pantheon("up", "persephone", "--no-run")
    done = guarded(pantheon, "models", "publish", str(bundle(tmp_path / "theirs")), "--model", "theirs", "--json")
    assert done.json["version"] == "1"
    assert list((pantheon.state / "data").glob(".*")) == []


def test_the_guard_notices_what_is_opened(persephone: Pantheon) -> None:
    script = HOOK + "list((state / 'runs').iterdir())"
    done = persephone.command([sys.executable, "-P", "-c", script], check=False)
    assert done.status == 99
    assert f"OPENED {Path(persephone.state) / 'runs'}" in done.err

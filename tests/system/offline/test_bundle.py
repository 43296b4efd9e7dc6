"""A bundle sets up a machine without a network in two commands."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.waiting import until

SCRIPT = """
ip link set lo up && ! curl -s -m 3 -o /dev/null http://192.0.2.1 || exit 77
cd '{there}' && export HOME="$PWD" XDG_CACHE_HOME="$PWD/cache"
tar xf '{file}' && make -s -C pantheon tier-persephone up ENGINE=local TRIALS=1 PORT_OFFSET={offset} NAME=far || exit 1
make -s -C pantheon tier-persephone predict NAME=far ROW='{{"robot-age": 5, "rust-level": 9, "battery": "low"}}'
status=$?
make -s -C pantheon tier-persephone destroy NAME=far CONFIRM=yes && exit $status
"""


@pytest.fixture
def here(tmp_path: Path) -> Pantheon:
    return make_pantheon(tmp_path / "home")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_machine_without_a_network_runs_the_tier_of_the_bundle(here: Pantheon, tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("the network cannot be taken away here: unshare -n is not allowed")
    file, there = tmp_path / "pantheon.tar", tmp_path / "an other ümlaut"
    there.mkdir()
    made = here("bundle", "persephone", "--file", str(file), "--json").json
    assert made["environments"] == ["uv", "cli", "serving", "workflow"]
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert not [name for name in names if "/.git/" in name or "/secrets/" in name or name.startswith("/")]
    script = SCRIPT.format(there=there, file=file, offset=here.offset)
    clean = {key: value for key, value in here.environment.items() if not key.startswith(("PANTHEON_", "UV_", "PIP_"))}
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], env=clean, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bad Condition" in done.stdout
    assert_nothing_left(there)


@pytest.mark.slow
def test_an_interrupted_bundle_leaves_no_file(here: Pantheon, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    process = here.popen("bundle", "persephone", "--file", str(folder / "pantheon.tar"))
    until(lambda: list(folder.glob(".pantheon.tar.*/wheels")), 120)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "interrupted." in said) == (130, True), said
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--file", "x.tar"], "the tier is missing."),
        (["persephone"], "FILE= is missing."),
        (["persephone", "--file", "x.zip"], "does not end with .tar."),
        (["persephone", "--file", "/no/such/folder/x.tar"], "the folder /no/such/folder does not exist."),
        (["persefone", "--file", "x.tar"], "there is no tier 'persefone'. Did you mean persephone?"),
    ],
)
def test_mistakes_are_refused(here: Pantheon, arguments: list[str], says: str) -> None:
    answer = here("bundle", *arguments, check=False)
    assert answer.status == 2
    assert says in answer.message


@pytest.mark.slow
def test_an_existing_file_is_kept(here: Pantheon, tmp_path: Path) -> None:
    file = tmp_path / "pantheon.tar"
    file.write_text("mine")
    answer = here("bundle", "persephone", "--file", str(file), check=False)
    assert (answer.status, f"{file} exists." in answer.message) == (2, True)
    assert file.read_text() == "mine"

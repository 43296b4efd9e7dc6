"""A workshop of two people: from nothing, interrupted, seen by the instructor, one set back, and gone at the end."""

import csv
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantheon.workshop.caps import PREFIX, open_caps
from tests.support import ROOT
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.waiting import until

pytestmark = pytest.mark.slow
UP = ("workshop", "up", "--people", "2", "--tier", "persephone", "--trials", "1")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    """The workshop, whose `up` was interrupted in the middle of the first models, and finished."""
    made = make_pantheon(tmp_path_factory.mktemp("home"))
    try:
        interrupt(made)
        made("workshop", "up", "--people", "2", timeout=900)
        yield made
    finally:
        if (made.home / "workshop").exists():
            made("workshop", "down", "--confirm", "yes")
    assert_nothing_left(made.home)


def interrupt(made: Pantheon) -> None:
    """Begin the workshop, and end the command while the first models are trained."""
    first = made.popen(*UP)
    assert first.stderr
    until(lambda: list(made.home.glob("workshop/people/*/runs/*/stages/*.json")), 240)
    first.terminate()  # alone: it must end its own commands
    said = first.stderr.read()
    assert first.wait() == 130, said
    assert "To continue: make workshop" in said
    assert "Traceback" not in said
    assert not list(made.home.glob("workshop/snapshots/*")), "nothing was finished"


def folder(made: Pantheon) -> Path:
    return made.home / "workshop"


def in_shell(made: Pantheon, person: str, commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands as the card says."""
    script = f". {folder(made) / 'enter' / person} && {commands}"
    return subprocess.run(
        ["sh", "-c", script],
        cwd=ROOT,
        env={key: value for key, value in made.environment.items() if not key.startswith("PANTHEON_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def seats(made: Pantheon) -> dict[str, dict[str, object]]:
    return {seat["name"]: seat for seat in made("workshop", "status", "--json").json["people"]}


@pytest.mark.timeout(1200)
def test_everybody_has_a_deployment_with_a_model_and_a_card(workshop: Pantheon) -> None:
    assert [(seat["state"], seat["run"]["decision"]) for seat in seats(workshop).values()] == [("up", "promoted")] * 2  # type: ignore[index]
    rows = list(csv.DictReader((folder(workshop) / "sheet.csv").read_text().splitlines()))
    assert [row["person"] for row in rows] == ["person-01", "person-02"]
    assert len({row["address"] for row in rows}) == len({row["password"] for row in rows}) == 2
    for row in rows:
        with urllib.request.urlopen(f"{row['address']}/healthz", timeout=20) as answer:
            assert json.load(answer)["ready"]
        assert row["password"] in (folder(workshop) / "sheet.html").read_text()


def test_again_changes_nothing(workshop: Pantheon) -> None:
    before = [path.read_text() for path in sorted(folder(workshop).glob("people/*/state/services.json"))]
    pids = [re.findall(r'"pid": ?(\d+)', text) for text in before]
    workshop("workshop", "up")
    after = [path.read_text() for path in sorted(folder(workshop).glob("people/*/state/services.json"))]
    assert [re.findall(r'"pid": ?(\d+)', text) for text in after] == pids


def test_the_processes_of_a_person_are_in_their_group(workshop: Pantheon) -> None:
    caps = open_caps(folder(workshop), 10**9, 1.0)
    if caps.why_not:
        pytest.skip(f"no caps here: {caps.why_not}")
    pid = json.loads((folder(workshop) / "people/person-01/state/services.json").read_text())["services"][0]["pid"]
    assert f"/{PREFIX}" in Path(f"/proc/{pid}/cgroup").read_text()
    shell = in_shell(workshop, "person-01", "cat /proc/self/cgroup")
    assert "/person-01" in shell.stdout


def test_the_page_needs_a_login_and_shows_who_has_passed_what(workshop: Pantheon) -> None:
    page = workshop("workshop", "status", "--json").json["page"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(page, timeout=20)
    assert refused.value.code == 401
    with pytest.raises(urllib.error.HTTPError) as foreign:
        urllib.request.urlopen(urllib.request.Request(page, headers={"Host": "evil.example"}), timeout=20)
    assert foreign.value.code == 403
    solved = in_shell(workshop, "person-02", "make -s tier-persephone run SEED=7 TRIALS=1 && make -s exercise N=1")
    assert "Exercise 1 is passed." in solved.stderr, solved.stderr
    password = (folder(workshop) / "page" / "password").read_text().strip()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    form = urllib.request.Request(f"{page}/login", f"password={password}".encode(), {"Origin": page})
    with opener.open(form, timeout=20) as answer:
        text = answer.read().decode()
    assert "2 of 2 up, 1 exercise passed" in text
    with opener.open(f"{page}/board.json", timeout=20) as answer:
        board = {seat["name"]: seat for seat in json.load(answer)["people"]}
    assert (board["person-01"]["passed"], board["person-02"]["passed"]) == ([], [1])
    assert board["person-02"]["run"]["version"] == "2"


def test_a_person_is_set_back_and_nobody_else(workshop: Pantheon) -> None:
    people, snapshot = folder(workshop) / "people", folder(workshop) / "snapshots" / "person-02"
    (people / "person-02" / "notebooks").mkdir(exist_ok=True)
    (people / "person-02" / "extensions" / "broken.py").write_text("def feature(")
    other = (people / "person-01" / "state" / "services.json").read_text()
    password = (people / "person-02" / "secrets" / "button" / "password").read_text()
    answer = workshop("workshop", "reset", "2", "--json")
    assert answer.json["person"] == "person-02"
    assert seats(workshop)["person-02"]["state"] == "up"
    assert sorted(path.name for path in (people / "person-02" / "models" / "robots").glob("[0-9]*")) == ["1"]
    assert not (people / "person-02" / "extensions" / "broken.py").exists()
    assert (people / "person-02" / "secrets" / "button" / "password").read_text() == password
    assert seats(workshop)["person-02"]["passed"] == [1], "what was passed stays passed"
    pid = re.findall(r'"pid": ?(\d+)', other)
    assert re.findall(r'"pid": ?(\d+)', (people / "person-01" / "state" / "services.json").read_text()) == pid
    assert snapshot.is_dir()
    assert not list((folder(workshop) / "trash").glob("*"))


def test_mistakes_are_refused_with_a_way_out(workshop: Pantheon) -> None:
    for arguments, says in (
        (("reset", "7"), "nobody in this workshop is called '7'"),
        (("up", "--people", "1"), "the workshop has 2 people already"),
        (("up", "--people", "3", "--tier", "zeus"), "there is a workshop already, of the tier persephone"),
        (("down",), "make workshop-down CONFIRM=yes"),
    ):
        answer = workshop("workshop", *arguments, check=False)
        assert (answer.status, says in answer.message) == (2, True), answer.err


def test_nothing_is_left_at_the_end(workshop: Pantheon) -> None:
    root = [str(root.folder) for root in open_caps(folder(workshop), 10**9, 1.0).roots]
    begin = time.monotonic()
    workshop("workshop", "down", "--confirm", "yes")
    assert time.monotonic() - begin < 60
    assert not folder(workshop).exists()
    name = open_caps(folder(workshop), 0, 0).name
    assert not [path for path in root if (Path(path) / name / "person-01").exists()]
    assert_nothing_left(workshop.home)
    answer = workshop("workshop", "status", check=False)
    assert (answer.status, answer.message.startswith("there is no workshop.")) == (2, True)

"""Who takes part, with which caps, on which sheet; without starting anything."""

import csv
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.exercises import record
from pantheon.exercises.data import Check, Exercise
from pantheon.state import ServiceRecord, Settings, write_settings
from pantheon.workshop import beginning, board, caps, sheet
from pantheon.workshop.place import Person, Place, Workshop, named
from pantheon.workshop.sheet import Login

ANN, BEN = Person("person-01", 1000), Person("person-02", 1100)

SECOND = """\
25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
FIRST = """\
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
"""
OWN = "4:memory:/user/ann\n3:cpu,cpuacct:/user/pantheon-workshop-1234abcd/person-01\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "workshop")
    made.make()
    return made


@pytest.mark.parametrize(
    ("text", "size"),
    [("2g", 2 * 10**9), ("1500M", 15 * 10**8), ("1.5 GB", 15 * 10**8), ("none", 0), ("512kib", 512_000)],
)
def test_a_size_of_memory_is_parsed(text: str, size: int) -> None:
    assert beginning.size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1g", "0", "2t", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(PantheonError, match="is not a size"):
        beginning.size(text)


@pytest.mark.parametrize(("text", "count"), [("1", 1.0), ("1.5", 1.5), ("NONE", 0.0)])
def test_a_number_of_processors_is_parsed(text: str, count: float) -> None:
    assert beginning.processors(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "inf", "all"])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(PantheonError, match="is not a number of processors"):
        beginning.processors(text)


def test_people_are_found_by_name_and_number() -> None:
    workshop = Workshop("zeus", [ANN, BEN])
    assert named(2) == ["person-01", "person-02"]
    assert [workshop.find(given) for given in ("person-02", "2", "02")] == [BEN, BEN, BEN]
    with pytest.raises(PantheonError, match=r"nobody in this workshop is called '3'\. There are person-01 to"):
        workshop.find("3")


def test_groups_of_version_1_are_below_the_own_group_and_never_in_somebodys() -> None:
    (roots,) = caps.candidates({"memory", "cpu"}, FIRST, OWN)
    assert {str(root.folder) for root in roots} == {"/sys/fs/cgroup/memory/user/ann", "/sys/fs/cgroup/cpu,cpuacct/user"}
    assert caps.candidates({"memory", "cpu"}, FIRST.splitlines()[0] + "\n", OWN) == [], "a cap alone is not enough"


def test_version_2_is_used_where_it_has_the_controllers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "_controllers", lambda folder: {"memory", "cpu", "io"})
    (roots,) = caps.candidates({"memory", "cpu"}, SECOND, "0::/\n")
    assert [(str(root.folder), root.version) for root in roots] == [("/sys/fs/cgroup", 2)]
    assert caps.limits(roots[0], 10**9, 1.5) == {"memory.max": "1000000000", "cpu.max": "150000 100000"}
    monkeypatch.setattr(caps, "_controllers", lambda folder: {"io"})
    assert caps.candidates({"memory", "cpu"}, SECOND, "0::/\n") == []


def test_without_groups_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(caps, "candidates", lambda wanted: [])
    assert caps.open_caps(tmp_path, 10**9, 1.0).why_not == "this machine has no cgroups"
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(caps, "candidates", lambda wanted: [[caps.Root(file, 1, ("memory",))]])
    made = caps.open_caps(tmp_path, 10**9, 0)
    assert (made.roots, made.why_not) == ([], "cgroups cannot be made (Not a directory)")
    assert caps.open_caps(tmp_path, 0, 0).why_not == "", "no caps were asked for"


def test_a_group_has_its_limits_and_a_process_is_put_into_it(tmp_path: Path) -> None:
    made = caps.Caps("pantheon-workshop-x", 10**9, 1.0, [caps.Root(tmp_path, 1, ("memory",))])
    made.take("person-01", 4711)
    folder = tmp_path / "pantheon-workshop-x" / "person-01"
    assert (folder / "memory.limit_in_bytes").read_text() == "1000000000"
    assert (folder / "cgroup.procs").read_text() == "4711"


def test_groups_are_removed_from_every_controller(tmp_path: Path) -> None:
    roots = [caps.Root(tmp_path / name, 1, (name,)) for name in ("memory", "cpu")]
    made = caps.Caps("pantheon-workshop-x", 0, 0, roots)
    for root in roots:
        (root.folder / made.name / "person-01").mkdir(parents=True)
    made.remove(person.name for person in [ANN, BEN])
    assert [list(root.folder.iterdir()) for root in roots] == [[], []]


def test_the_sheet_is_private_and_complete(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [
        Login("page", "http://127.0.0.1:9080", "", "a<b&c"),
        Login("Airflow", "http://127.0.0.1:9081", "admin", 'with,comma"'),
    ]
    monkeypatch.setattr(sheet, "logins_of", lambda place, person: mine if person == ANN else [])
    sheet.write(place, Workshop("zeus", [ANN, BEN]))
    for file in (place.sheet, place.table):
        assert file.stat().st_mode & 0o777 == 0o600
    rows = list(csv.reader(place.table.read_text().splitlines()))
    assert rows[1:] == [
        ["person-01", "page", "http://127.0.0.1:9080", "", "a<b&c"],
        ["person-01", "Airflow", "http://127.0.0.1:9081", "admin", 'with,comma"'],
    ]
    page = place.sheet.read_text()
    assert "a&lt;b&amp;c" in page
    assert "-L 9080:127.0.0.1:9080 -L 9081:127.0.0.1:9081" in page
    assert page.count('class="card"') == 2
    assert "//" not in page.replace("http://127.0.0.1", ""), "it loads nothing"


def test_a_folder_with_quotes_and_spaces_is_entered(tmp_path: Path) -> None:
    import shlex

    place = Place(tmp_path / "it's a workshop")
    lines = sheet.enter(place, ANN, []).splitlines()
    assert shlex.split(lines[1]) == ["export", f"PANTHEON_HOME={place.people}", "PANTHEON_NAME=person-01"]


def service(state: str, pid: int = 1, name: str = "button") -> ServiceRecord:
    return ServiceRecord(name, state=state, pid=pid)


@pytest.mark.parametrize(
    ("services", "state"),
    [
        ([], ("down", "")),
        ([service("stopped"), service("completed")], ("down", "")),
        ([service("healthy"), service("completed", 0)], ("up", "")),
        ([service("healthy"), service("starting", name="feast")], ("starting", "feast")),
        ([service("healthy"), service("restarting", 0, "feast")], ("trouble", "feast")),
        ([service("healthy", 2**22 + 1)], ("trouble", "button")),
    ],
)
def test_the_state_of_a_deployment_is_that_of_its_services(
    services: list[ServiceRecord], state: tuple[str, str]
) -> None:
    assert board.state_of(services) == state


def test_a_seat_shows_the_exercises_of_the_tier_where_the_person_is(place: Place) -> None:
    folder = place.people / ANN.name
    write_settings(folder, Settings(name=ANN.name, tier="zeus"))

    def exercise(tier: str, number: int) -> Exercise:
        check = Check(says="It is so.", read="status", value="tier", is_="zeus")
        return Exercise(tier=tier, number=number, title="", minutes=1, task="", hints=(), solution=(), checks=(check,))

    record.helped(folder, exercise("zeus", 1), solution=True)
    record.checked(folder, exercise("zeus", 1), True)
    record.checked(folder, exercise("zeus", 2), False)
    record.checked(folder, exercise("persephone", 3), True)
    ann, ben = board.seats(place, Workshop("persephone", [ANN, BEN]))
    assert (ann.tier, ann.state, ann.passed, ann.helped, ann.tries) == ("zeus", "down", [1], [1], {2: 1})
    assert (ben.tier, ben.state, ben.page) == ("", "down", "http://127.0.0.1:9180"), "not started yet"


def test_a_damaged_deployment_does_not_hide_the_others(place: Place) -> None:
    folder = place.people / ANN.name
    folder.mkdir()
    (folder / "settings.json").write_text("{")
    assert [seat.name for seat in board.seats(place, Workshop("zeus", [ANN, BEN]))] == [ANN.name, BEN.name]

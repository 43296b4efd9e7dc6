"""The folder of a workshop, and its own file, which says who takes part."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pantheon import files, typed
from pantheon.errors import PantheonError

CURE = "End the workshop and begin again: `bin/pantheon workshop down`"
MOST = 99


class Person(msgspec.Struct, frozen=True):
    """Somebody's deployment.

    Attributes:
        name: of the deployment, such as ``person-01``.
        offset: its port offset.
    """

    name: str
    offset: int


class Workshop(msgspec.Struct):
    """``workshop.json``.

    Attributes:
        memory: bytes that the processes of one person may use; 0: no limit.
        cpus: processors that they may use; 0: no limit.
        options: further options of ``up``, such as ``--trials 2``.
        page: the port of the instructor's page.
    """

    tier: str
    people: list[Person]
    memory: int = 0
    cpus: float = 0.0
    options: list[str] = msgspec.field(default_factory=list)
    page: int = 0
    version: int = typed.VERSION

    def find(self, given: str) -> Person:
        """Return a person by name or number.

        Raises:
            PantheonError: there is no such person.
        """
        for person in self.people:
            if given == person.name or (given.isdecimal() and int(given) == number(person.name)):
                return person
        names = f"{self.people[0].name} to {self.people[-1].name}" if self.people else "nobody"
        raise PantheonError(f"nobody in this workshop is called {given!r}.", f"There are {names}.")


class Place:
    """``HOME/workshop``: the deployments in ``people/``, ``snapshots/``, ``logs/``, the sheet, the page's password.

    Args:
        folder: the workshop's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people, self.snapshots = folder / "people", folder / "snapshots"
        self.logs, self.enter, self.trash = folder / "logs", folder / "enter", folder / "trash"
        self.file, self.password = folder / "workshop.json", folder / "page" / "password"
        self.sheet, self.table = folder / "sheet.html", folder / "sheet.csv"

    def make(self) -> None:
        """Create the folders, readable by this user only."""
        for folder in (self.people, self.snapshots, self.logs, self.enter, self.password.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def log(self, person: Person) -> Path:
        return self.logs / f"{person.name}.log"

    def read(self) -> Workshop | None:
        """Return the workshop; None if there is none.

        Raises:
            Damaged: its file is damaged.
        """
        return typed.read(self.file, Workshop, CURE)

    def existing(self) -> Workshop:
        """Return the workshop.

        Raises:
            PantheonError: there is none.
        """
        if not (found := self.read()):
            raise PantheonError("there is no workshop.", "Begin one: `make workshop PEOPLE=20 TIER=persephone`")
        return found

    def write(self, workshop: Workshop) -> None:
        files.write_json(self.file, msgspec.to_builtins(workshop), mode=0o600, fsync=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the workshop during the block.

        Raises:
            PantheonError: another command holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with files.lock(self.folder / "lock", timeout=0.5):
                yield
        except files.Busy:
            raise PantheonError("another workshop command is running.", "Wait until it has ended.", 1) from None


def named(count: int) -> list[str]:
    """Return the names of ``count`` people."""
    return [f"person-{index:02d}" for index in range(1, count + 1)]


def number(name: str) -> int:
    """Return the number in a person's name."""
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else 0

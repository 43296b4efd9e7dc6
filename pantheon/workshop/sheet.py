"""The sheet of addresses and passwords, as one HTML page of cards to print and to cut, and as a table."""

import csv
import io
import socket
from collections.abc import Iterable
from html import escape
from pathlib import Path

import msgspec

from pantheon import files, state
from pantheon.deployment import logins
from pantheon.deployment.deployment import Deployment
from pantheon.tiers import find
from pantheon.workshop.place import Person, Place, Workshop

TEMPLATE = Path(__file__).with_name("sheet.html")
COLUMNS = ("person", "what", "address", "user", "password")


class Login(msgspec.Struct, frozen=True):
    """Where somebody logs in.

    Attributes:
        user: empty: only a password.
        password: empty: there is none, or it is a file with several lines.
    """

    title: str
    address: str
    user: str
    password: str


def logins_of(place: Place, person: Person) -> list[Login]:
    """Return the addresses of a person's services for people; none before the deployment was started."""
    folder = place.people / person.name
    settings = state.read_settings(folder) if state.exists(folder) else None
    if not settings or not settings.tier:
        return []
    addresses = {each.name: each.address for each in state.read_services(folder).services}
    found = []
    for part in Deployment(person.name, folder).components(find(settings.tier)):
        login = part.login
        if login and "://" in (address := addresses.get(login.service, "")):
            secret = logins.read(folder / "secrets" / login.secret) if login.secret else ""
            user = login.who.removesuffix("password").strip(" ,").removeprefix("user ")
            found.append(Login(login.title, address, user, secret if "\n" not in secret else ""))
    return found


def write(place: Place, workshop: Workshop) -> None:
    """Write ``sheet.html`` and ``sheet.csv``, which only this user can read."""
    known = [(person, logins_of(place, person)) for person in workshop.people]
    files.write_text(place.table, table(known), mode=0o600)
    files.write_text(place.sheet, html(place, workshop, known), mode=0o600)


def table(known: list[tuple[Person, list[Login]]]) -> str:
    """Return the table as CSV."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for person, mine in known:
        rows.writerows((person.name, each.title, each.address, each.user, each.password) for each in mine)
    return text.getvalue()


def html(place: Place, workshop: Workshop, known: list[tuple[Person, list[Login]]]) -> str:
    """Return the page: a card for everybody."""
    cards = "\n".join(card(place, workshop, person, mine) for person, mine in known)
    title = f"{find(workshop.tier).title}, {len(known)} people"
    return TEMPLATE.read_text(encoding="utf-8").replace("TITLE", escape(title)).replace("CARDS", cards)


def card(place: Place, workshop: Workshop, person: Person, mine: list[Login]) -> str:
    """Return somebody's card."""
    return "\n".join(
        [
            f'<section class="card"><h2>{escape(person.name)}</h2><p class="name">Name</p>',
            *(_login(each) for each in mine),
            "<h3>In a terminal on this machine, in Pantheon's folder</h3>",
            f"<pre>. {escape(str(place.enter / person.name))}\nmake tier-{escape(workshop.tier)} exercise</pre>",
            "<h3>From another machine</h3>",
            f"<pre>{escape(tunnel(mine))}</pre>",
            "</section>",
        ]
    )


def _login(login: Login) -> str:
    said = [f'<b>{escape(login.title)}</b> <a href="{escape(login.address)}">{escape(login.address)}</a>']
    if login.user:
        said.append(f"user <code>{escape(login.user)}</code>")
    if login.password:
        said.append(f"password <code>{escape(login.password)}</code>")
    return f"<p>{'<br>'.join(said)}</p>"


def tunnel(mine: list[Login]) -> str:
    """Return the command with which a person reaches the services from another machine."""
    ports = [each.address.rpartition(":")[2].partition("/")[0] for each in mine]
    return f"ssh -N {' '.join(f'-L {port}:127.0.0.1:{port}' for port in ports)} {socket.gethostname()}"


def enter(place: Place, person: Person, groups: Iterable[Path]) -> str:
    """Return the script that a shell reads to act on a person's deployment.

    Args:
        groups: the folders of the person's control groups.
    """
    lines = [
        f"# . {place.enter / person.name}",
        f"export PANTHEON_HOME='{_quoted(place.people)}' PANTHEON_NAME={person.name}",
        # not $$, which in a subshell is the process above it
        *(f"sh -c 'echo $PPID' >'{_quoted(group)}/cgroup.procs' 2>/dev/null || true" for group in groups),
        f"echo 'This shell is now {person.name}: make commands act on this deployment.'",
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "'\\''")

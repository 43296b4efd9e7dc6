"""The people of a deployment and their roles in profiles (``people/people.json``), and their passwords, hashed with
scrypt (``hub/passwords.json``).

The host writes both. Only JupyterHub's service can read the passwords, and the servers of users can read neither.
``ADMIN`` is in no file: its password is the secret ``hub_password``, so that a deployment can always be administered.
"""

import base64
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pantheon import files, typed
from pantheon.errors import PantheonError
from pantheon.hub.roles import DEFAULT, EVERY, ROLES, Role, highest
from pantheon.typed import VERSION

ADMIN = "admin"
OUTSIDE = "provider:"  # a group of the provider, among a user's groups in JupyterHub, which has no other place for it
PASSWORD_CHARACTERS = 24  # 142 bits
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123: names of profiles are name spaces
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_GROUP = re.compile(r"[^\s\x00-\x1f\x7f,]([^\x00-\x1f\x7f,]{0,126}[^\s\x00-\x1f\x7f,])?")
_COST = {"n": 1 << 14, "r": 8, "p": 1}  # 16 MB, 40 ms
_CURE = "Restore it from a backup, or move it away and add the people again: `bin/pantheon users add NAME`"


class Person(msgspec.Struct, frozen=True):
    """What is stored of a person.

    Attributes:
        name: lower-case letters, digits, and ``. _ @ -``; as the company's provider names them, with ``OIDC_ISSUER``.
        profiles: the role in each profile.
        created: ISO 8601, UTC.
    """

    name: str
    profiles: dict[str, Role] = {}
    created: str = ""


class Profile(msgspec.Struct, frozen=True):
    """A profile.

    Attributes:
        name: an RFC 1123 label.
        groups: the role that members of a group of the company's provider have.
    """

    name: str
    groups: dict[str, Role] = {}


class Passwords(msgspec.Struct, frozen=True):
    """``hub/passwords.json``; see ``read_passwords``."""

    passwords: dict[str, str] = {}
    version: int = VERSION


class People(msgspec.Struct, frozen=True):
    """``people/people.json``."""

    people: tuple[Person, ...] = ()
    profiles: tuple[Profile, ...] = (Profile(DEFAULT),)
    version: int = VERSION

    def find(self, name: str) -> Person | None:
        """Return the person ``name``; ``ADMIN`` always exists."""
        if name == ADMIN:
            return Person(ADMIN, profiles={EVERY: "admin"})
        return next((each for each in self.people if each.name == name), None)

    def roles(self, name: str, groups: Collection[str] = ()) -> dict[str, Role]:
        """Return ``{profile: role}`` of a person who is in these groups of the company's provider.

        Whoever is in no file and in no bound group has no role.
        """
        person = self.find(name)
        given: dict[str, list[str]] = {profile: [role] for profile, role in (person.profiles if person else {}).items()}
        for profile in self.profiles:
            given.setdefault(profile.name, []).extend(role for group, role in profile.groups.items() if group in groups)
        known = {EVERY, *(profile.name for profile in self.profiles)}
        return {name: role for name, roles in given.items() if name in known and (role := highest(roles))}


def outside(groups: Iterable[str]) -> list[str]:
    """Return the groups of the company's provider among those that a user has in JupyterHub."""
    return [group.removeprefix(OUTSIDE) for group in groups if group.startswith(OUTSIDE)]


def people_file(state: Path) -> Path:
    return state / "people" / "people.json"


def passwords_file(state: Path) -> Path:
    return state / "hub" / "passwords.json"


def read(state: Path) -> People:
    """Return the deployment's people; none, and the profile ``default``, before the first is added.

    Raises:
        PantheonError: the file is damaged.
    """
    return typed.read(people_file(state), People, _CURE) or People()


def read_passwords(state: Path) -> dict[str, str]:
    """Return ``{name: SALT:HASH}``, base64 of scrypt; who is missing has a password only at the company's provider.

    Raises:
        PantheonError: the file is damaged.
    """
    return (typed.read(passwords_file(state), Passwords, _CURE) or Passwords()).passwords


def add(state: Path, name: str, profiles: dict[str, str], *, password: bool = True) -> str:
    """Add a person and return the password, which is stored nowhere; empty without one (``OIDC_ISSUER``).

    Args:
        profiles: the role in each profile.

    Raises:
        PantheonError: the name is taken or not valid, or a profile or role does not exist.
    """
    if not _NAME.fullmatch(name):
        raise PantheonError(
            f"{name!r} is not a valid name of a user.", "Use lower-case letters, digits, and . _ @ -, at most 63."
        )
    word, created = new_password() if password else "", datetime.now(UTC).isoformat(timespec="seconds")
    with _changing(state):
        found = read(state)
        if found.find(name):
            raise PantheonError(f"there is already a user {name!r}.", "See `bin/pantheon users list`.")
        roles = {each: _known(found, each, role) for each, role in profiles.items()}
        person = Person(name, roles, created)
        _keep(state, name, hash_of(word) if word else "")
        _write(state, msgspec.structs.replace(found, people=(*found.people, person)))
    return word


def remove(state: Path, name: str) -> None:
    """Remove a person, who can do nothing from then on.

    Raises:
        PantheonError: there is no such person, or it is ``ADMIN``.
    """
    with _changing(state):
        found = read(state)
        person = _person(found, name)
        _write(state, msgspec.structs.replace(found, people=tuple(each for each in found.people if each is not person)))
        _keep(state, name, "")


def change_password(state: Path, name: str) -> str:
    """Give a person a new password and return it.

    Raises:
        PantheonError: as ``remove``.
    """
    word = new_password()
    with _changing(state):
        _person(read(state), name)
        _keep(state, name, hash_of(word))
    return word


def add_profile(state: Path, name: str) -> None:
    """Add a profile.

    Raises:
        PantheonError: it exists, or the name is not an RFC 1123 label.
    """
    if not LABEL.fullmatch(name):
        raise PantheonError(
            f"{name!r} is not a valid name of a profile.",
            "Use lower-case letters, digits and dashes, at most 63; the first and the last are no dash.",
        )
    with _changing(state):
        found = read(state)
        if any(each.name == name for each in found.profiles):
            raise PantheonError(f"there is already a profile {name!r}.", "See `bin/pantheon profiles list`.")
        _write(state, msgspec.structs.replace(found, profiles=(*found.profiles, Profile(name))))


def remove_profile(state: Path, name: str) -> None:
    """Remove a profile, and everybody's role in it. Its objects stay.

    Raises:
        PantheonError: there is no such profile, or it is ``default``.
    """
    if name == DEFAULT:
        raise PantheonError(f"the profile {DEFAULT} cannot be removed.", "What is in no other profile belongs to it.")
    with _changing(state):
        found = read(state)
        profile = _profile(found, name)
        people = tuple(
            msgspec.structs.replace(each, profiles={at: role for at, role in each.profiles.items() if at != name})
            for each in found.people
        )
        rest = tuple(each for each in found.profiles if each is not profile)
        _write(state, msgspec.structs.replace(found, people=people, profiles=rest))


def grant(state: Path, profile: str, who: str, role: str, *, group: bool = False) -> None:
    """Give a person, or a group of the company's provider, a role in a profile; an empty ``role`` takes it away.

    Args:
        profile: ``*``: in every profile; not for groups.

    Raises:
        PantheonError: the profile, the person or the role does not exist.
    """
    with _changing(state):
        found = read(state)
        new: dict[str, Role] = {(who if group else profile): _known(found, profile, role)} if role else {}
        if not group:
            person = _person(found, who)
            roles = {at: has for at, has in person.profiles.items() if at != profile} | new
            _put(state, found, msgspec.structs.replace(person, profiles=roles))
            return
        if not _GROUP.fullmatch(who):
            raise PantheonError(f"{who!r} is not a valid name of a group.", "Use the name that the provider sends.")
        bound = _profile(found, profile)
        groups = {name: has for name, has in bound.groups.items() if name != who} | new
        changed = msgspec.structs.replace(bound, groups=groups)
        kept = tuple(changed if each is bound else each for each in found.profiles)
        _write(state, msgspec.structs.replace(found, profiles=kept))


def new_password() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_CHARACTERS))


def hash_of(password: str, salt: bytes = b"") -> str:
    """Return what is stored of a password."""
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return f"{base64.b64encode(salt).decode()}:{base64.b64encode(digest).decode()}"


def matches(password: str, stored: str) -> bool:
    """Return whether ``password`` is the one whose ``hash_of`` is stored. Takes the same time if nothing is stored."""
    salt = base64.b64decode(stored.partition(":")[0] or b"AAAAAAAAAAAAAAAAAAAAAA==")
    return hmac.compare_digest(hash_of(password, salt).encode(), stored.encode()) and bool(stored)


def _person(found: People, name: str) -> Person:
    person = next((each for each in found.people if each.name == name), None)
    if name == ADMIN:
        raise PantheonError(
            f"the user {ADMIN} is always there.", "Its password is in the deployment's secrets/hub_password."
        )
    if person is None:
        raise PantheonError(f"there is no user {name!r}.", f"Existing users: {_names(found.people)}.")
    return person


def _profile(found: People, name: str) -> Profile:
    profile = next((each for each in found.profiles if each.name == name), None)
    if profile is None:
        raise PantheonError(f"there is no profile {name!r}.", f"Existing profiles: {_names(found.profiles)}.")
    return profile


def _known(found: People, profile: str, role: str) -> Role:
    if profile != EVERY:
        _profile(found, profile)
    known = highest([role])
    if known is None:
        raise PantheonError(f"there is no role {role!r}.", f"Roles: {', '.join(ROLES)}.")
    return known


def _names(named: Iterable[Person | Profile]) -> str:
    return ", ".join(sorted(each.name for each in named)) or "none"


def _put(state: Path, found: People, person: Person) -> None:
    people = tuple(person if each.name == person.name else each for each in found.people)
    _write(state, msgspec.structs.replace(found, people=people))


def _changing(state: Path) -> AbstractContextManager[int]:
    for path in (people_file(state), passwords_file(state)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return files.lock(people_file(state).parent / ".people.lock")


def _keep(state: Path, name: str, hashed: str) -> None:
    """Store the hash of a person's password; empty: remove it."""
    others = {each: hash for each, hash in read_passwords(state).items() if each != name}
    _replace(passwords_file(state), Passwords(others | ({name: hashed} if hashed else {})))


def _write(state: Path, people: People) -> None:
    _replace(people_file(state), people)


def _replace(path: Path, value: People | Passwords) -> None:
    """Replace the file. If root does, it belongs to the folder's owner: the user of services in containers."""
    content = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
    with files.atomic(path, mode=0o600, fsync=True) as part:
        part.write_bytes(content)
        files.hand_to_owner(part)

"""Read components: the ``x-pantheon`` blocks of the compose files that a tier's definition includes.

docs/components.md explains the keys. Standard library, PyYAML and msgspec only.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from pantheon.errors import PantheonError

KEY = "x-pantheon"
CURE = "docs/components.md lists the keys."
PLACEHOLDER = re.compile(r"\{\{ *([^{}]*?) *\}\}")  # in a template: a secret's name, or `random N`
RANDOM = re.compile(r"random ([0-9]+)")

Part = Literal["etl", "rest", "models", "data", "answers", "features", "notebooks"]
PARTS: tuple[Part, ...] = ("etl", "rest", "models", "data", "answers", "features", "notebooks")

_T = TypeVar("_T", bound=msgspec.Struct)


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of a component's data; unknown keys are refused."""


class Login(Strict, frozen=True, kw_only=True):
    """How people open a component, and log in if it asks for that.

    Attributes:
        service: the service whose address people open.
        title: its name in ``status``.
        who: description of the secret, such as ``token`` or ``user admin, password``.
        secret: the file in ``secrets/`` with the secret; empty: it has no login, and ``who`` says what
            it needs, if anything.
        link: for links that log in once: what is between the address and a signed token (``pantheon.web.tokens``);
            empty: the service has no such links.
    """

    service: str
    title: str
    who: str = ""
    secret: str = ""
    link: str = ""


class Secret(Strict, frozen=True, kw_only=True):
    """How one secret is generated; exactly one kind is given.

    Attributes:
        random: that many random letters and digits.
        fernet: a Fernet key: 32 random bytes, URL-safe base64.
        template: a text; ``{{ NAME }}`` stands for another secret, ``{{ random 40 }}`` for fresh letters and digits.
        certificate: the common name of a self-signed certificate, PEM, with its key.
        aws: a user; an AWS credentials file with the secrets ``USER_access_key`` and ``USER_secret_key``.
        external: with ``aws``: if the deployment uses an external S3, the file has its keys instead.
    """

    random: int = 0
    fernet: bool = False
    template: str = ""
    certificate: str = ""
    aws: str = ""
    external: bool = False

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in ("random", "fernet", "template", "certificate", "aws") if getattr(self, kind)]

    @property
    def needs(self) -> list[str]:
        """The names of the secrets that it contains."""
        if self.aws:
            return [f"{self.aws}_access_key", f"{self.aws}_secret_key"]
        return [name for name in PLACEHOLDER.findall(self.template) if not RANDOM.fullmatch(name)]

    @property
    def is_derived(self) -> bool:
        """Whether it has nothing random of its own, so that it can be made again."""
        return bool(self.template) and not any(RANDOM.fullmatch(name) for name in PLACEHOLDER.findall(self.template))


class Image(Strict, frozen=True, kw_only=True):
    """The content of a Pantheon image, besides Pantheon's code.

    Attributes:
        environments: names of ``requirements/NAME.txt``, each installed at ``/opt/NAME``; the first one is on the PATH.
        packages: Debian packages.
        folders: folders of the repository.
    """

    environments: tuple[str, ...]
    packages: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class Kept(Strict, frozen=True, kw_only=True):
    """A folder of the state that a backup contains, and how it is read; see docs/backup.md.

    Attributes:
        folder: its path in the deployment's folder, such as ``volumes/jupyter``.
        service: the service whose task reads it, and writes it if ``load`` is given.
        first: patterns of files in it that are read before the others: they refer to them.
        without: patterns of files and folders in it that are left out: caches, and secrets.
        save: a command that writes the content to standard output while the component runs, instead of the files: as a
            tar, or as one file if ``file`` names it.
        load: the command that reads this from standard input while the component runs, and is otherwise empty.
        file: the name of the only file that ``save`` writes.
        stopped: with ``save``: the service whose task reads the files themselves while the component does not run.
        tasks: the compose file with these services, beside the component's, if they are not services of a tier.
    """

    folder: str
    service: str
    first: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    save: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    file: str = ""
    stopped: str = ""
    tasks: str = ""


class Block(Strict, frozen=True, kw_only=True):
    """The ``x-pantheon`` block of a compose file.

    Attributes:
        component: the component's name, also for ``WITHOUT=``.
        title: its display name; empty: ``component``.
        required: whether it cannot be left out.
        on_demand: whether it only supports other components: it is left out if all components that need it are.
        needs: components that it depends on.
        leads: the parts of the workflow that it runs, with its name in the route.
        dag: the Airflow DAG that continues a run after the ETL, if it leads ``rest``.
        login: how people log in.
        secrets: by file name in ``secrets/``.
        images: by name; an image that only has the environment of the same name can be omitted.
        environments: additional environments that its services or commands use.
        tools: programs of this machine that it calls if it does not run in containers.
        keeps: folders of the state that belong in a backup, in the order in which they are read.
        memory_mb, disk_mb: its requirements in MB: idle plus a first run of 5,000 rows, with a reserve.
    """

    component: str
    title: str = ""
    required: bool = False
    on_demand: bool = False
    needs: tuple[str, ...] = ()
    leads: dict[Part, str] = {}
    dag: str = ""
    login: Login | None = None
    secrets: dict[str, Secret] = {}
    images: dict[str, Image] = {}
    environments: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    keeps: tuple[Kept, ...] = ()
    memory_mb: int = 0
    disk_mb: int = 0


class Component(Block, frozen=True, kw_only=True):
    """A component: its block, its compose file, and the services in that file."""

    file: Path
    services: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.component


@dataclass(frozen=True)
class Components:
    """The components of a definition, in the order in which their files are included."""

    every: tuple[Component, ...]

    def __iter__(self) -> Iterator[Component]:
        return iter(self.every)

    @property
    def required(self) -> "Components":
        """The components that cannot be left out."""
        return Components(tuple(component for component in self if component.required))

    @property
    def optional(self) -> list[str]:
        """The names that ``WITHOUT=`` accepts."""
        return [component.name for component in self if not component.required and not component.on_demand]

    def left_out(self, names: Collection[str]) -> set[str]:
        """Return ``names``, the components that need one of them, and those that only these components need."""
        left = set(names)
        while True:
            more = {each.name for each in self if left & set(each.needs)}
            for each in (each for each in self if each.on_demand):
                users = {other.name for other in self if each.name in other.needs}
                more |= {each.name} if users and users <= left else set()
            if more <= left:
                return left
            left |= more

    def without(self, names: Collection[str]) -> "Components":
        """Return the components that remain if ``names`` are left out."""
        left = self.left_out(names)
        return Components(tuple(component for component in self if component.name not in left))

    def leader(self, part: Part) -> Component | None:
        """Return the component that runs ``part``: the last one that leads it.

        One that leads all of the workflow hands nothing over: it leads ``etl`` only if it leads ``rest``, too.
        """
        found = [component for component in reversed(self.every) if part in component.leads]
        if part == "etl" and (last := self.leader("rest")):
            found = [each for each in found if each is last or each.required or "rest" not in each.leads]
        return next(iter(found), None)

    @property
    def continuing(self) -> Component | None:
        """The component whose DAG continues a run after Airflow's ETL: the last one that has a DAG."""
        return next((each for each in reversed(self.every) if "rest" in each.leads and each.dag), None)

    def route(self) -> dict[str, str]:
        """Return the name of the component that runs a part of the workflow, by part; empty if there is none.

        ``after_etl`` is the one that continues Airflow's runs; empty if it is the one of ``rest``.
        """
        leaders = {part: self.leader(part) for part in PARTS}
        parts = {part: leader.leads[part] if leader else "" for part, leader in leaders.items()}
        next_one = self.continuing
        return parts | {"after_etl": next_one.leads["rest"] if next_one and next_one is not leaders["rest"] else ""}

    @property
    def secrets(self) -> dict[str, Secret]:
        """All secrets by file name.

        Raises:
            PantheonError: two components generate the same secret differently, or a template names a missing one.
        """
        secrets: dict[str, Secret] = {}
        for component in self:
            for name, secret in component.secrets.items():
                if secrets.setdefault(name, secret) != secret:
                    raise PantheonError(
                        f"{component.file}: another component declares the secret {name} differently.", CURE
                    )
        for name, secret in secrets.items():
            for needed in secret.needs:
                if needed not in secrets:
                    raise PantheonError(f"the secret {name} needs {needed!r}, which no component declares.", CURE)
        return secrets

    @property
    def images(self) -> dict[str, Image]:
        return {name: image for each in self for name, image in each.images.items()}

    def environment_of(self, image: str) -> str:
        """Return the environment that replaces an image if services run as processes."""
        declared = self.images.get(image)
        return declared.environments[0] if declared else image

    @property
    def environments(self) -> list[str]:
        """Environments in addition to those of the services."""
        return list(dict.fromkeys(name for each in self for name in each.environments))

    @property
    def tools(self) -> dict[str, Component]:
        """Programs of this machine, with a component that calls them."""
        return {tool: each for each in self for tool in each.tools}

    @property
    def memory_mb(self) -> int:
        return sum(each.memory_mb for each in self)

    @property
    def disk_mb(self) -> int:
        return sum(each.disk_mb for each in self)

    @property
    def owners(self) -> dict[str, str]:
        """The component of every service: that of the first file that defines it."""
        owners: dict[str, str] = {}
        for component in self:
            for service in component.services:
                owners.setdefault(service, component.name)
        return owners


def read(definition: Path) -> Components:
    """Return the components of the compose file ``definition`` and of all included files; included ones come first.

    Raises:
        PantheonError: a file is missing, or a block is not valid; names the file and the key.
    """
    components: dict[str, Component] = {}
    for file in files(definition):
        component = _component(file, file.stat().st_mtime_ns)
        if component is None:
            continue
        if component.name in components:
            other = components[component.name].file
            raise PantheonError(f"{file}: {other} already defines the component {component.name!r}.", "Rename one.")
        components[component.name] = component
    return Components(tuple(components.values()))


def files(definition: Path) -> list[Path]:
    """Return ``definition`` and all included compose files, without duplicates; included ones come first."""
    visited: dict[Path, None] = {}

    def visit(file: Path) -> None:
        file = file.resolve()
        if file in visited:
            return
        for entry in _raw(file, _changed(file)).get("include") or []:
            paths = entry.get("path", []) if isinstance(entry, dict) else entry
            for path in [paths] if isinstance(paths, str) else paths:
                if "$" not in path:
                    visit(file.parent / path)
        visited[file] = None

    visit(definition)
    return list(visited)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        raise PantheonError(f"the compose file {file} does not exist.") from None


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser is ten times as fast
    """Reads compose files, whose tags say how a file replaces what an included one says: ``!reset``, ``!override``."""


def _plain(loader: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


Loader.add_constructor("!reset", lambda loader, node: None)
Loader.add_constructor("!override", _plain)


def load(text: str) -> Any:
    """Parse a compose file. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it is a safe loader


@lru_cache(256)
def _raw(file: Path, changed: int) -> dict[str, Any]:
    try:
        content = load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise PantheonError(f"{file} is not valid YAML: {' '.join(str(error).split())}.") from None
    return content if isinstance(content, dict) else {}


@lru_cache(256)
def _component(file: Path, changed: int) -> Component | None:
    raw = _raw(file, changed)
    if KEY not in raw:
        return None
    parts = dict(raw[KEY]) if isinstance(raw[KEY], dict) else raw[KEY]
    if isinstance(parts, dict):  # one by one, so that a message names the secret or the image
        for key, kind in (("secrets", Secret), ("images", Image)):
            if isinstance(parts.get(key), dict):
                parts[key] = {name: _convert(file, f"{key}.{name}", each, kind) for name, each in parts[key].items()}
    block = _convert(file, "", parts, Block)
    for name, secret in block.secrets.items():
        if len(secret.kinds) != 1:
            raise PantheonError(
                f"{file}: {KEY}.secrets.{name} needs exactly one of random, fernet, template, certificate, aws.", CURE
            )
    for name, image in block.images.items():
        if not image.environments:
            raise PantheonError(f"{file}: {KEY}.images.{name}.environments is empty.", CURE)
    given: Mapping[str, Any] = msgspec.structs.asdict(block)
    return Component(**given, file=file, services=tuple(raw.get("services") or {}))


def _convert(file: Path, key: str, raw: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        where = place.removeprefix("`key` in ").strip("`$").lstrip(".")
        path = ".".join(filter(None, (KEY, key, where)))
        raise PantheonError(f"{file}: {path}: {what[:1].lower()}{what[1:]}.", CURE) from None

"""The models in this process: every version that an alias or a policy names, and a few that requests name themselves.

Aliases are read again every half second (``Watch``), and a new model is found within ``NAMES_SECONDS``. A model is an
immutable ``Hosted``, which is replaced as a whole: a request uses the one that it began with, so no request is lost
by a swap. A version that is no longer named is dropped, and its memory is given back once its last request has been
answered.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from pantheon.errors import PantheonError
from pantheon.routing import policy as routing
from pantheon.routing.choose import Chooser
from pantheon.routing.policy import CHAMPION
from pantheon.store import Alias, Damaged, ModelStore, StoredPolicy
from pantheon.store.records import is_version
from serving import memory
from serving.model.champion import RETRY_SECONDS, message
from serving.model.predictor import Predictor
from serving.problems import Problem
from serving.state import State

LIST_SECONDS = 1.0  # between listings of the aliases of all models
NAMES_SECONDS = 5.0  # between listings of the models
PINNED = 4  # versions that only requests name, which are kept loaded
POLICY = "policy"  # the key of ``Hosted.refused``
NOBODY = Chooser(None, {}, ())

Open = Callable[[Path, str, str, str], Predictor]  # folder, model, version and since when it is the champion


@dataclass(frozen=True)
class Hosted:
    """One model as it is served now.

    Attributes:
        aliases: what each alias names, also if it could not be loaded.
        loaded: the versions that can be asked, by number.
        serving: the version that answers by default: the champion, or the one before if that could not be loaded;
            empty if there is none.
        refused: why a version could not be loaded, by number; under an empty number, why the aliases could not be
            read, and under ``policy``, why the routing policy could not.
        policy: how requests are routed; None: the champion answers.
        chooser: chooses the version for a request.
    """

    name: str
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    loaded: Mapping[str, Predictor] = field(default_factory=dict)
    serving: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    policy: StoredPolicy | None = None
    chooser: Chooser = field(default=NOBODY, compare=False)

    @property
    def predictor(self) -> Predictor | None:
        """The version that answers by default."""
        return self.loaded.get(self.serving)


class Models:
    """Follows the aliases of all models of the store.

    Args:
        opened: opens a version.
        name: the service's, in its log.

    Attributes:
        hosted: the models by name; replaced, never changed.
        default: the model of requests that name none: the one that the button serves, or the only one.
    """

    def __init__(self, state: State, store: ModelStore, opened: Open = Predictor, name: str = "endpoint") -> None:
        self._state, self._store, self._opened, self._name = state, store, opened, name
        self.hosted: dict[str, Hosted] = {}
        self.default = ""
        self._names: list[str] = []
        self._aliases: dict[str, list[str]] = {}
        self._listed = self._named = float("-inf")
        self._tried: dict[tuple[str, str], float] = {}
        self._kept: dict[str, tuple[str, Alias]] = {}
        self._pinned: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._refreshing, self._pinning, self._lock = threading.Lock(), threading.Lock(), threading.Lock()

    def of(self, name: str) -> Hosted:
        """Return a model; the default one for an empty name.

        Raises:
            Problem: 404, there is no such model; 503, there is none at all.
        """
        hosted = self.hosted.get(name or self.default)
        if hosted is None:
            if name:
                raise Problem(404, f'There is no model "{name[:100]}".', got=name[:100])
            if self.hosted:
                names = ", ".join(sorted(self.hosted)[:12])
                raise Problem(400, "Name a model: ?model=NAME.", expected=names)
            raise Problem(503, "No model is deployed yet: run the workflow first.", headers=(("retry-after", "2"),))
        return hosted

    def ready(self, hosted: Hosted, version: str = "") -> Predictor | None:
        """Return a loaded version, or the one that answers by default; None if it is not loaded."""
        if not version:
            return hosted.predictor
        if version in hosted.loaded:
            return hosted.loaded[version]
        with self._lock:
            found = self._pinned.get((hosted.name, version))
            if found:
                self._pinned.move_to_end((hosted.name, version))
            return found

    def pinned(self, hosted: Hosted, version: str) -> Predictor:
        """Return a version that a request names, loaded if need be. May take seconds.

        Raises:
            Problem: 404, there is no such version; 503, it cannot be loaded.
        """
        with self._pinning:  # one at a time: each takes memory and a core
            if found := self.ready(hosted, version):
                return found
            if not is_version(version):
                raise Problem(404, f'The model "{hosted.name}" has no version "{version[:40]}": versions are 1, 2, 3 …')
            try:
                self._store.describe(hosted.name, version)
            except PantheonError as error:
                if error.status != 2:  # the store does not answer, or the version is damaged
                    raise Problem(503, f"Version {version} cannot be loaded: {message(error)}") from error
                raise Problem(404, f'The model "{hosted.name}" has no version {version}.') from None
            try:
                found = self._opened(self._store.get(hosted.name, version), hosted.name, version, "")
            except Exception as error:
                raise Problem(503, f"Version {version} cannot be loaded: {message(error)}") from error
            with self._lock:
                self._pinned[hosted.name, version] = found
                dropped = [self._pinned.popitem(last=False) for _ in range(len(self._pinned) - PINNED)]
            if dropped:
                del dropped
                memory.give_back()
            return found

    def refresh(self) -> None:
        """Load and drop versions so that every alias is served. Errors are stored in ``Hosted.refused``."""
        with self._refreshing:
            try:
                self._list()
            except Exception as error:  # noqa: BLE001 - the thread must keep running to detect a fix
                if not self._aliases:
                    self._recall(message(error))
                    return
            names = [name for name, aliases in self._aliases.items() if aliases]
            for name in names:
                self._replace(self._now(name))
            if gone := self.hosted.keys() - set(names):
                self.hosted = {name: hosted for name, hosted in self.hosted.items() if name not in gone}
                memory.give_back()
            served = self._state.served
            self.default = served if served in self.hosted or len(self.hosted) != 1 else next(iter(self.hosted))

    def _list(self) -> None:
        """List models and aliases, which costs more than reading an alias; names of models cost most."""
        now = monotonic()
        if now - self._listed < LIST_SECONDS:
            return
        served = self._state.served
        if now - self._named >= NAMES_SECONDS or (served and served not in self._names):
            self._names, self._named = self._store.names(), now
        self._aliases = {name: self._store.aliases(name) for name in self._names}
        self._listed = now

    def _now(self, name: str) -> Hosted:
        """Return the model with the versions that its aliases name at present; unchanged if they cannot be read."""
        old = self.hosted.get(name, Hosted(name))
        try:
            found = {alias: self._store.alias(name, alias) for alias in self._aliases[name]}
        except Exception as error:  # noqa: BLE001 - see above
            return self._with_refusal(old, "", message(error))
        aliases = {alias: record for alias, record in found.items() if record}
        refused: dict[str, str] = {}
        policy = self._policy(old, refused)
        loaded: dict[str, Predictor] = {}
        named = [record.version for record in aliases.values()] + list(policy.versions if policy else ())
        for version in dict.fromkeys(named):
            try:
                loaded[version] = old.loaded.get(version) or self._load(old, version, aliases)
            except Exception as error:  # noqa: BLE001 - see above
                refused[version] = message(error)
                if old.refused.get(version) != refused[version]:
                    self._log(f"version {version} of {name} cannot be served: {refused[version]}")
        champion = aliases.get(CHAMPION)
        serving = champion.version if champion and champion.version in loaded else ""
        if champion and not serving and old.serving:
            serving, loaded[old.serving] = old.serving, old.loaded[old.serving]
        if champion and serving == champion.version:
            self._remember(name, champion, loaded[serving])
        new = Hosted(name, aliases, loaded, serving, refused, policy)
        return old if new == old else with_chooser(new)

    def _policy(self, old: Hosted, refused: dict[str, str]) -> StoredPolicy | None:
        """Return the model's routing policy; None, with the reason in ``refused``, if it cannot be used."""
        try:
            stored = self._store.policy(old.name)
            if stored:
                routing.read(stored, old.name)
            return stored
        except Damaged as error:
            refused[POLICY] = str(error)
        except Exception as error:  # noqa: BLE001 - the store cannot be reached: the policy from before still counts
            refused[POLICY] = message(error)
            return old.policy
        if old.refused.get(POLICY) != refused[POLICY]:
            self._log(refused[POLICY])
        return None

    def _load(self, old: Hosted, version: str, aliases: Mapping[str, Alias]) -> Predictor:
        tried = self._tried.get((old.name, version), 0.0)
        if version in old.refused and monotonic() - tried < RETRY_SECONDS:
            raise PantheonError(old.refused[version])
        self._tried[old.name, version] = monotonic()
        champion = aliases.get(CHAMPION)
        since = champion.since if champion and champion.version == version else ""
        with self._lock:
            if pinned := self._pinned.get((old.name, version)):  # a request named it before
                pinned.since = since
                return pinned
        predictor = self._opened(self._store.get(old.name, version), old.name, version, since)
        self._log(f"version {version} of {old.name} is loaded")
        return predictor

    def _with_refusal(self, old: Hosted, version: str, why: str) -> Hosted:
        if old.refused.get(version) != why:
            self._log(f"the aliases of {old.name} cannot be read: {why}")
        return replace(old, refused={**old.refused, version: why})

    def _replace(self, new: Hosted) -> None:
        """Swap a model: new requests use this one."""
        old = self.hosted.get(new.name)
        if old == new:
            return
        self.hosted = {**self.hosted, new.name: new}
        with self._lock:
            for version in new.loaded:
                self._pinned.pop((new.name, version), None)
        if old and old.loaded.keys() - new.loaded.keys():
            del old
            memory.give_back()

    def _remember(self, name: str, champion: Alias, predictor: Predictor) -> None:
        """Store locally which version is serving, for a start while the store is unreachable."""
        if self._kept.get(name) == (self._store.where, champion):
            return
        try:
            self._store.remember(name, champion, predictor.folder)
        except (PantheonError, OSError) as error:
            self._log(f"the champion of {name} is not kept for a start without the store: {message(error)}")
        self._kept[name] = self._store.where, champion

    def _recall(self, why: str) -> None:
        """Serve this machine's copy of the last champion, after a start while the store is unreachable."""
        name = self._state.served
        if self.hosted or not name:
            return
        try:
            remembered = self._store.remembered(name)
            if remembered is None:
                return
            alias, folder = remembered
            predictor = self._opened(folder, name, alias.version, alias.since)
        except Exception as error:  # noqa: BLE001 - see above
            self._log(f"the local copy of {name} cannot be served: {message(error)}")
            return
        hosted = Hosted(name, {CHAMPION: alias}, {alias.version: predictor}, alias.version, {"": why})
        self.hosted = {name: with_chooser(hosted)}
        self.default = name
        self._log(
            f"the store is unreachable; serving the last champion, version {alias.version} of {name}, from a copy"
        )

    def _log(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)


def with_chooser(hosted: Hosted) -> Hosted:
    """Return the model with a chooser for what it has now."""
    policy = routing.read(hosted.policy, hosted.name) if hosted.policy else None
    aliases = {alias: record.version for alias, record in hosted.aliases.items()}
    if CHAMPION in aliases:
        aliases[CHAMPION] = hosted.serving or aliases[CHAMPION]
    return replace(hosted, chooser=Chooser(policy, aliases, frozenset(hosted.loaded)))

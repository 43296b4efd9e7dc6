"""Which files the log has, and which of them count.

``MODEL/date=YYYY-MM-DD/SEGMENT.parquet``
    The rows that a model predicted on a day (UTC, by the time in the id), from one segment of the spool.
``_feedback/date=YYYY-MM-DD/SEGMENT.parquet``
    What was said about predictions of that day, whenever it was said.
``…/merged-ID.parquet`` and ``…/merged-ID.json``
    A file that replaces others of its folder. It counts once its manifest (the ``.json``) is stored, which names every
    file that it replaces, directly or through others: these do not count any more, even if they are stored again.
``_forget/ID.json``
    Somebody's request to be forgotten.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec

from pantheon.errors import PantheonError
from pantheon.predictions.ids import milliseconds, new_id
from pantheon.predictions.place import Place, Stored
from pantheon.predictions.records import Answered, Feedback
from pantheon.state import is_model_name
from pantheon.store.place import MANIFEST

FEEDBACK, FORGET, UNKNOWN = "_feedback", "_forget", "_unknown"  # no names of models
DATA, MERGED = ".parquet", "merged-"
AHEAD = 1  # days: an id of a later day than this is not one of ours
_DAY, _DAY_MS = 86_400_000_000, 86_400_000  # microseconds, milliseconds


class Manifest(msgspec.Struct, frozen=True):
    """What a merged file replaces.

    Attributes:
        replaces: names of files in the same folder, without ``.parquet``.
        rows: how many the merged file has; 0: there is no such file.
        at: seconds since the epoch.
        forget: the request because of which rows were left out; empty: none were.
        removed: how many were left out.
    """

    replaces: tuple[str, ...]
    rows: int
    at: float
    forget: str = ""
    removed: int = 0


@dataclass
class Part:
    """The files of one folder, such as ``robots/date=2026-11-29``.

    Attributes:
        live: those that count, by name.
        dead: keys that are replaced, and since when, in seconds since the epoch.
        loose: merged files without a manifest that counts: not yet, or never.
        void: manifests of merges that another process did too, at the same time: its merge counts.
        manifests: those that count, by name.
    """

    folder: str
    live: dict[str, Stored] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    manifests: dict[str, Manifest] = field(default_factory=dict)

    @property
    def day(self) -> date:
        return date.fromisoformat(self.folder.partition("/date=")[2])

    @property
    def model(self) -> str:
        return self.folder.partition("/")[0]

    def knows(self, name: str) -> bool:
        """Whether a file of this name is stored, or was stored and is replaced."""
        return name in self.live or any(name in manifest.replaces for manifest in self.manifests.values())

    def origins(self, name: str) -> tuple[str, ...]:
        """Return the file itself, and all that it replaces."""
        return (name, *(self.manifests[name].replaces if name in self.manifests else ()))


class Layout:
    """The log's folders. Keeps manifests, which never change, between two looks; not thread-safe."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._read: dict[str, Manifest] = {}

    def part(self, folder: str) -> Part:
        """Return one folder."""
        return self._part(folder, self.place.list(f"{folder}/"))

    def parts(self, models: Iterable[str] | None = None) -> Iterator[Part]:
        """Yield every folder of some models (``_feedback`` for feedback); None: of all, and of feedback."""
        prefixes = [""] if models is None else [f"{model}/" for model in models]
        for prefix in prefixes:
            found: dict[str, list[Stored]] = {}
            for stored in self.place.list(prefix):
                folder = stored.key.rpartition("/")[0]
                if is_day(folder.partition("/")[2]):
                    found.setdefault(folder, []).append(stored)
            for folder, stored_files in found.items():
                yield self._part(folder, stored_files)

    def replace(
        self, part: Part, old: Iterable[str], content: bytes, rows: int, forget: str = "", removed: int = 0
    ) -> str:
        """Replace files of a folder by a new one; return its name. An interruption leaves the old ones or the new one.

        Args:
            old: their names.
            content: the new file, Parquet; without rows, it is not stored.
        """
        name = f"{MERGED}{new_id()}"
        replaces = tuple(dict.fromkeys(origin for each in old for origin in part.origins(each)))
        manifest = Manifest(replaces, rows, datetime.now(UTC).timestamp(), forget, removed)
        if rows:
            self.place.put_new(f"{part.folder}/{name}{DATA}", content)
        self.place.put_new(f"{part.folder}/{name}{MANIFEST}", msgspec.json.encode(manifest))
        return name

    def _part(self, folder: str, stored: Iterable[Stored]) -> Part:
        by_key = {each.key.rpartition("/")[2]: each for each in stored}
        part = Part(folder)
        replaced: dict[str, float] = {}
        for manifest_name in sorted(each for each in by_key if each.startswith(MERGED) and each.endswith(MANIFEST)):
            name, manifest = manifest_name.removesuffix(MANIFEST), self._manifest(by_key[manifest_name].key)
            if manifest is None:
                continue
            again = {each for each in manifest.replaces if each in replaced}
            if again and not any(each in part.manifests for each in manifest.replaces):
                part.void.append(by_key[manifest_name].key)
                continue
            for each in manifest.replaces:
                replaced.setdefault(each, manifest.at)
                if part.manifests.pop(each, None):
                    part.dead[f"{folder}/{each}{MANIFEST}"] = manifest.at
            part.manifests[name] = manifest
        for file_name, found in by_key.items():
            name = file_name.removesuffix(DATA)
            if not file_name.endswith(DATA):
                continue
            if name in replaced:
                part.dead[found.key] = replaced[name]
            elif name.startswith(MERGED) and name not in part.manifests:
                part.loose.append(found.key)
            else:
                part.live[name] = found
        return part

    def _manifest(self, key: str) -> Manifest | None:
        if key not in self._read:
            content = self.place.read(key)
            if content is None:
                return None  # removed a moment ago, with what it replaces by now
            try:
                self._read[key] = msgspec.json.decode(content, type=Manifest)
            except msgspec.DecodeError as error:
                cure = "Restore it from a backup: without it, predictions would be missing or counted twice."
                raise PantheonError(f"{self.place.where}/{key} is damaged: {error}.", cure, 1) from None
        return self._read[key]


def is_day(text: str) -> bool:
    """Whether ``text`` is ``date=YYYY-MM-DD``."""
    try:
        return text.startswith("date=") and bool(date.fromisoformat(text[5:]))
    except ValueError:
        return False


def folder_of(record: Answered | Feedback) -> str:
    """Return the folder of a record."""
    day = record.at // _DAY
    try:
        of_id = milliseconds(record.id) // _DAY_MS
    except ValueError:  # not one of ours: it is filed by its own time
        of_id = day
    return _folder(FEEDBACK if isinstance(record, Feedback) else record.model, of_id if of_id <= day + AHEAD else day)


@lru_cache
def _folder(model: str, day: int) -> str:
    """Return the folder of a day, counted from the epoch."""
    name = model if model == FEEDBACK or is_model_name(model) else UNKNOWN
    return f"{name}/date={date(1970, 1, 1) + timedelta(days=day)}"

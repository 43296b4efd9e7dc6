"""Take a user's file into the deployment: find its dataset, keep a copy, and infer the spec or keep the user's."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from msgspec import structs

from pantheon.errors import PantheonError
from pantheon.files import lock, scratch, sha256, write_text
from pantheon.state import published
from pantheon.workflow.data.draft import LAYOUT, draft_edits, remove_draft, write_draft
from pantheon.workflow.data.origin import Given, Origin, bundled, choose, origins, read_origin, stem_of, write_origin
from pantheon.workflow.data.spec import Source, Spec
from pantheon.workflow.datasets import NAME, check_target, find_spec, target_of

BLOCK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Taken:
    """A dataset after a file was taken.

    Attributes:
        spec: if it was inferred now.
        notes: sentences for the user.
    """

    name: str
    spec: Spec | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    """A file to describe.

    Attributes:
        path: where it is now.
        kept_as: its name in ``STATE/data``.
        sha256: of its content.
    """

    path: Path
    kept_as: str
    sha256: str


def take(state: Path, given: Given, content: IO[bytes], size: int, modified: int) -> Taken:
    """Copy a user's file into ``STATE/data``, and infer the spec of a new dataset; an existing one keeps its spec.

    Args:
        content: the file, from its start; not read if the deployment has it already.
        size: its size in bytes.
        modified: its modification time, in nanoseconds since 1970; the copy gets the same time.

    Raises:
        PantheonError: the file cannot be used, lacks a column of its dataset, or changed while it was read. The
            dataset is not changed then.
    """
    data, suffix = state / "data", Path(given.file).suffix.lower()
    data.mkdir(exist_ok=True)
    with lock(data / ".lock"), scratch(data, ".incoming-") as folder:
        if same := _unchanged(state, given, size, modified):
            return same
        path = folder / f"{stem_of(given.file)}{suffix}"
        _receive(path, content, size, modified, given.called)
        digest = sha256(path)
        try:
            _adopt(state, given, path, digest)
            name, notes = _named(state, given, digest)
            taken = _describe(state, name, given, File(path, f"{name}{suffix}", digest))
        except PantheonError as error:  # users do not know the copy
            raise PantheonError(error.cause.replace(str(path), given.called), error.cure, error.status) from None
        path.replace(data / f"{name}{suffix}")
        return replace(taken, notes=notes + taken.notes)


def take_here(state: Path, file: str, target: str, infer: str = "") -> Taken:
    """Infer the spec of a file in ``STATE/data``, as ``take`` does for a file elsewhere."""
    path = state / "data" / file
    given = Given(file, file, file, target, infer=infer)
    with lock(state / "data" / ".lock"):
        digest = sha256(path)
        _adopt(state, given, path, digest)
        name, notes = _named(state, given, digest)
        taken = _describe(state, name, given, File(path, file, digest))
        return replace(taken, notes=notes + taken.notes)


def again(state: Path, name: str, header: str = "") -> Taken:
    """Infer the columns of a dataset again, from the file that the deployment has; keep the user's edits.

    Raises:
        PantheonError: there is no such dataset, it has no file, or its file cannot be used.
    """
    spec = find_spec(state, name)
    path = tomllib.loads(spec.read_text(encoding="utf-8-sig")).get("source", {}).get("path") if spec else None
    file = state / "data" / str(path)
    if not spec or not path or not file.is_file():
        raise PantheonError(f"INFER=again: the dataset {name!r} has no file.", "Give one: DATA=your.csv TARGET=column")
    origin = read_origin(state, name)
    given = Given(file.name, origin.path if origin else file.name, file.name, target_of(spec), header, "again", name)
    with lock(state / "data" / ".lock"):
        return _describe(state, name, given, File(file, file.name, sha256(file)))


def _unchanged(state: Path, given: Given, size: int, modified: int) -> Taken | None:
    """Return the dataset if the deployment has this file, by its path, size and time, and nothing is to be inferred."""
    if given.infer or given.dataset:
        return None
    wanted = (given.path, given.target)
    same = [name for name, one in origins(state).items() if wanted == (one.path, given.target and one.target)]
    if len(same) != 1:
        return None
    copy = state / "data" / f"{same[0]}{Path(given.file).suffix.lower()}"
    there = copy.stat() if copy.is_file() else None
    return Taken(same[0]) if there and (there.st_size, there.st_mtime_ns) == (size, modified) else None


def _receive(path: Path, content: IO[bytes], size: int, modified: int, called: str) -> None:
    with path.open("xb") as to:
        os.fchmod(to.fileno(), 0o600)
        left = size + 1  # a file that grows without end is not read without end
        while left and (block := content.read(min(BLOCK, left))):
            left -= to.write(block)
    if path.stat().st_size != size:
        raise PantheonError(f"{called} changed while it was read.", "Try again when no program writes to it.", 1)
    os.utime(path, ns=(modified, modified))


def _named(state: Path, given: Given, digest: str) -> tuple[str, list[str]]:
    """Return the name of the file's dataset, and sentences about the choice; see ``choose``."""
    if not given.dataset:
        return choose(state, given, digest, published(state).dataset)
    if not NAME.fullmatch(given.dataset) or given.dataset in bundled():
        why = "ships with Pantheon" if given.dataset in bundled() else "is not a valid name"
        raise PantheonError(f"DATASET={given.dataset} {why}.", "Use letters, digits and hyphens: DATASET=sales-2024")
    if spec := find_spec(state, given.dataset):
        check_target(spec, given.target)
    return given.dataset, []


def _adopt(state: Path, given: Given, path: Path, digest: str) -> None:
    """Record the origin of a dataset of an earlier version, if the file has its columns."""
    name = given.dataset or stem_of(given.file)
    spec = state / "data" / f"{name}.toml"
    if not spec.is_file() or read_origin(state, name) or name in bundled():
        return
    from pantheon.workflow.data.spec_file import read_spec

    mine = read_spec(spec)
    if mine.source.kind != "file" or given.target not in ("", mine.target.column):
        return
    copy = state / "data" / mine.source.path
    before = sha256(copy) if copy.is_file() else ""
    origin = Origin(stem_of(given.file), given.path, before, mine.target.column, given.header)
    if before != digest:
        try:
            _layout(path, mine, origin)
        except PantheonError:
            return
    write_origin(state, name, origin)


def _describe(state: Path, name: str, given: Given, file: File) -> Taken:
    """Write the spec of a file: that of a new dataset, the existing one, or one that is inferred again."""
    from pantheon.workflow.data.spec_file import dump_spec, read_spec

    path, known = state / "data" / f"{name}.toml", read_origin(state, name)
    stem = known.stem if known and known.path == given.path else stem_of(given.file)
    target = given.target or (target_of(path) if path.is_file() else "")
    header = given.header or (known.header if known else "")
    origin = Origin(stem, given.path, file.sha256, target, header)
    if not path.is_file():
        made = _inferred(state, name, given, file, origin, draft_edits(state, name))
        _write(path, dump_spec(made))
        write_origin(state, name, structs.replace(origin, inferred=dump_spec(made), source=draft_edits(state, name)))
        remove_draft(state, name)
        return Taken(name, made)
    mine = read_spec(path)
    if known:
        origin = structs.replace(origin, inferred=known.inferred, source=known.source)
    if given.infer == "again":
        return _infer_again(state, name, given, file, origin, mine)
    if not known or known.sha256 != file.sha256 or mine.source.path != file.kept_as:
        source = _layout(file.path, mine, origin)
        text, inferred = _with_layout(path.read_text(encoding="utf-8-sig"), mine, origin, source, file.kept_as)
        _write(path, text)
        origin = structs.replace(origin, inferred=inferred)
    write_origin(state, name, origin)
    return Taken(name)


def _infer_again(state: Path, name: str, given: Given, file: File, origin: Origin, mine: Spec) -> Taken:
    """Infer the spec anew, with the user's edits: what differs between ``mine`` and what was inferred before."""
    from pantheon.workflow.data.merge import merged, source_edits
    from pantheon.workflow.data.spec_file import dump_spec, parse_spec

    path, old = state / "data" / f"{name}.toml", state / "data" / mine.source.path
    base = mine
    if origin.inferred:
        base = parse_spec(origin.inferred)
    elif old.is_file():  # of an earlier version
        base = _inferred(state, name, given, File(old, old.name, ""), origin, {})
    edits = {**origin.source, **source_edits(base.source, mine.source)}
    made = _inferred(state, name, given, file, origin, edits)
    result, kept, lost = merged(base, mine, made)
    _write(path.with_suffix(".toml.bak"), path.read_text(encoding="utf-8-sig"))
    _write(path, dump_spec(result))
    write_origin(state, name, structs.replace(origin, inferred=dump_spec(made), source=edits))
    return Taken(name, result, _differences(mine, result, [*kept, *(f"source.{key}" for key in edits)], lost))


def _differences(before: Spec, now: Spec, kept: list[str], lost: list[str]) -> list[str]:
    """Return sentences about what INFER=again changed."""
    names = {column.name for column in before.columns}, {column.name for column in now.columns}
    parts = (
        ("new columns", [repr(column.name) for column in now.columns if column.name not in names[0]]),
        ("columns that the file no longer has", [repr(c.name) for c in before.columns if c.name not in names[1]]),
        ("your edits, kept", [what for what in kept if not what.startswith("why of")]),
        ("your edits, which no longer apply", [what for what in lost if not what.startswith("why of")]),
    )
    notes = [f"{what}: {', '.join(items)}" for what, items in parts if items]
    return [*notes, f"the spec as it was before is in data/{now.name}.toml.bak"]


def _layout(path: Path, mine: Spec, origin: Origin) -> Source:
    """Detect how a new file of a dataset is read, except for what the user set in its spec.

    Raises:
        PantheonError: it does not have the columns that the spec uses.
    """
    from pantheon.workflow.data import formats
    from pantheon.workflow.data.layout import source_of
    from pantheon.workflow.data.packed import unpacked

    given = {key: getattr(mine.source, key) for key in _set_by_user(mine, origin)}
    with scratch(path.parent, ".reading-") as folder, unpacked(path, folder) as inner:
        source = source_of(inner, mine.target.column, origin.header, given)
        names = formats.scan(inner, source, folder).collect_schema().names()
    try:
        formats.check_columns(path, mine, names, complete=False)
    except PantheonError as error:
        anew = " To infer the columns again and keep your edits: INFER=again" if mine.target.column in names else ""
        raise PantheonError(error.cause, f"{error.cure}{anew}", error.status) from None
    return source


def _set_by_user(mine: Spec, origin: Origin) -> list[str]:
    """Return the fields of the layout that the user edited; for a dataset of an earlier version, only the header's."""
    from pantheon.workflow.data.spec_file import parse_spec

    if not origin.inferred:
        return [] if mine.source.header_rows else ["header_rows"]
    base = parse_spec(origin.inferred).source
    return [key for key in LAYOUT if key in origin.source or getattr(base, key) != getattr(mine.source, key)]


def _with_layout(text: str, mine: Spec, origin: Origin, source: Source, kept_as: str) -> tuple[str, str]:
    """Return the text of the spec, and that of the inferred one, with the layout of a new file."""
    from pantheon.workflow.data.spec_file import parse_spec, with_source

    layout: dict[str, Any] = {key: getattr(source, key) for key in LAYOUT} | {"path": kept_as}
    new = replace(mine.source, **layout)
    if new != mine.source:
        text = with_source(text, new)
    if not origin.inferred:
        return text, ""
    detected = {key: value for key, value in layout.items() if key not in _set_by_user(mine, origin)}
    base = parse_spec(origin.inferred).source
    return text, with_source(origin.inferred, replace(base, **detected))


def _inferred(state: Path, name: str, given: Given, file: File, origin: Origin, edits: Mapping[str, Any]) -> Spec:
    """Infer a spec; if a new dataset's table was not found, write a draft, in which users can say where it is."""
    from pantheon.workflow.data.infer import infer_spec  # loads Polars, which is only needed here

    try:
        made = infer_spec(file.path, origin.target, name, origin.header, edits)
    except PantheonError as error:
        known = not origin.target or (state / "data" / f"{name}.toml").exists()
        if known or not (source := _as_read(file.path, origin)):
            raise
        draft = write_draft(state, name, given.called, source)
        more = f"If the table begins elsewhere, say so in {draft}, and run the same command again."
        raise PantheonError(error.cause, f"{error.cure} {more}", error.status) from None
    return replace(made, source=replace(made.source, path=file.kept_as))


def _as_read(path: Path, origin: Origin) -> Source | None:
    """Return how a file without the target is read; None if it has the target, or cannot be read at all."""
    from pantheon.workflow.data.layout import source_of
    from pantheon.workflow.data.packed import unpacked

    with scratch(path.parent, ".reading-") as folder:
        try:
            with unpacked(path, folder) as inner:
                try:
                    source_of(inner, origin.target, origin.header)
                except PantheonError:
                    return source_of(inner, origin.target, origin.header, {"kind": "file"})
        except PantheonError:
            return None
    return None


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8-sig") != text:
        write_text(path, text)

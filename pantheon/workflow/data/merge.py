"""Infer a spec again and keep the user's edits: what differs between the spec and the one that was inferred before."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pantheon.errors import PantheonError
from pantheon.workflow.data.spec import Column, Source, Spec
from pantheon.workflow.data.spec_file import check_spec


@dataclass(frozen=True)
class Edit:
    """One edit of the user's.

    Attributes:
        what: its place, such as "min of 'age'".
        apply: returns a spec with the edit.
    """

    what: str
    apply: Callable[[Spec], Spec]


def merged(base: Spec, mine: Spec, new: Spec) -> tuple[Spec, list[str], list[str]]:
    """Return ``new`` with the user's edits, except those of the source; ``source_edits`` finds these.

    Args:
        base: the spec as it was inferred.
        mine: that spec, with the user's edits.
        new: the spec as it is inferred now.

    Returns:
        The merged spec; the places of the edits that were kept; those of the edits that no longer apply.
    """
    edits, lost = edits_of(base, mine, new)
    kept: list[Edit] = []
    together = new
    for edit in edits:
        together = edit.apply(together)
    if _is_valid(together):
        new, kept, edits = together, edits, []
    while edits:  # some edits are only valid after others, such as a split by a column with a new role
        tried = [(edit, edit.apply(new)) for edit in edits]
        found = next(((edit, spec) for edit, spec in tried if _is_valid(spec)), None)
        if found is None:
            break
        new = found[1]
        kept.append(found[0])
        edits.remove(found[0])
    return new, [edit.what for edit in kept], lost + [edit.what for edit in edits]


def edits_of(base: Spec, mine: Spec, new: Spec) -> tuple[list[Edit], list[str]]:
    """Return the edits that may apply to ``new``, and the places of those in columns that it does not have."""
    edits: list[Edit] = []
    lost: list[str] = []
    before = {column.name: column for column in base.columns}
    now = {column.name: column for column in new.columns}
    for column in mine.columns:
        old = before.get(column.name, Column(column.name))
        changed = _changed(old, column)
        if column.name not in now and column.stored:  # no file has it
            edits.append(Edit(f"{column.name!r} of the feature store", _with(column)))
            continue
        if column.name not in now:
            lost += [f"{key} of {column.name!r}" for key in changed if key != "why"]
            continue
        if changed.keys() & {"type", "role"} and "why" not in changed:
            changed["why"] = "you edited it"
        for key, value in changed.items():
            value = _joined(value, getattr(old, key), getattr(now[column.name], key))
            edits.append(Edit(f"{key} of {column.name!r}", _of_column(column.name, key, value)))
    for part in ("target", "split", "store"):
        for key, value in _changed(getattr(base, part), getattr(mine, part)).items():
            value = _joined(value, getattr(getattr(base, part), key), getattr(getattr(new, part), key))
            edits.append(Edit(f"{part}.{key}", _of_part(part, key, value)))
    if mine.task != base.task:
        edits.append(Edit("task", lambda spec: replace(spec, task=mine.task)))
    if mine.description != base.description:
        edits.append(Edit("description", lambda spec: replace(spec, description=mine.description)))
    return edits, lost


def source_edits(base: Source, mine: Source) -> dict[str, Any]:
    """Return the fields of the source that the user edited, besides those that only hold for the file."""
    return {key: value for key, value in _changed(base, mine).items() if key not in ("kind", "name", "path")}


def _changed(old: Any, new: Any) -> dict[str, Any]:
    pairs = {item.name: (getattr(old, item.name), getattr(new, item.name)) for item in fields(old)}
    return {key: b for key, (a, b) in pairs.items() if a != b or type(a) is not type(b)}


def _joined(mine: Any, base: Any, new: Any) -> Any:
    """Return an edited list with the entries that inference found in addition; any other value as it is."""
    if isinstance(mine, tuple) and mine:
        return (*mine, *(item for item in new if item not in base and item not in mine))
    return mine


def _of_column(name: str, key: str, value: Any) -> Callable[[Spec], Spec]:
    def apply(spec: Spec) -> Spec:
        columns = (replace(column, **{key: value}) if column.name == name else column for column in spec.columns)
        return replace(spec, columns=tuple(columns))

    return apply


def _with(column: Column) -> Callable[[Spec], Spec]:
    return lambda spec: replace(spec, columns=(*spec.columns, column))


def _of_part(part: str, key: str, value: Any) -> Callable[[Spec], Spec]:
    return lambda spec: replace(spec, **{part: replace(getattr(spec, part), **{key: value})})


def _is_valid(spec: Spec) -> bool:
    try:
        check_spec(spec)
    except PantheonError:
        return False
    return True

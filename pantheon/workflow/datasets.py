"""The datasets of a deployment: bundled specs, and the user's files with their specs.

``STATE/data`` contains the user's files (``NAME.csv`` …) and specs (``NAME.toml``), which users may edit; a spec there
takes precedence over one of the same name that ships with Pantheon.
"""

import difflib
import re
import tomllib
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import atomic
from pantheon.workflow.data.origin import SHIPPED, bundled
from pantheon.workflow.data.spec import Spec

__all__ = [
    "NAME",
    "SHIPPED",
    "bundled",
    "check_target",
    "find_spec",
    "is_known",
    "leave_out",
    "notes",
    "spec_of",
    "target_of",
]

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def find_spec(state: Path, name: str) -> Path | None:
    """Return the spec of a dataset: that of the deployment, else the bundled one; None if neither exists."""
    if not NAME.fullmatch(name):
        return None
    own = state / "data" / f"{name}.toml"
    return own if own.is_file() else bundled().get(name)


def spec_of(state: Path, name: str) -> Path:
    """Return the spec of a dataset; see ``find_spec``.

    Raises:
        PantheonError: it does not exist; lists the existing ones.
    """
    if spec := find_spec(state, name):
        return spec
    names = sorted({*bundled(), *(path.stem for path in (state / "data").glob("*.toml"))})
    raise PantheonError(
        f"there is no dataset {name!r}.", f"There are: {', '.join(names)}; or use DATA=your.csv TARGET=column."
    )


def is_known(state: Path, name: str, target: str) -> bool:
    """Whether the deployment has a dataset of this name.

    Args:
        target: the column that it should predict; empty: any.

    Raises:
        PantheonError: it predicts another column.
    """
    spec = find_spec(state, name)
    if spec:
        check_target(spec, target)
    return spec is not None


def check_target(spec: Path, target: str) -> None:
    """Raise PantheonError if the spec has another target than ``target``, unless that is empty."""
    column = target_of(spec)
    if target and target != column:
        raise PantheonError(
            f"{spec.stem} predicts {column!r}, not {target!r}.",
            f"Omit TARGET, or pass the file: DATA=… TARGET={target}",
        )


def target_of(spec: Path) -> str:
    """Return the target column of a spec."""
    return str(tomllib.loads(spec.read_text(encoding="utf-8"))["target"]["column"])


def leave_out(state: Path, name: str, columns: str) -> list[str]:
    """Give columns of a dataset the role "ignore" in the deployment's spec; everything else in the file stays.

    Args:
        columns: a column's name, or several with commas between them.

    Returns:
        The names of the columns.

    Raises:
        PantheonError: there is no such dataset or column, or the model cannot do without it.
    """
    import tomlkit

    from pantheon.workflow.data.spec_file import parse_spec

    spec = spec_of(state, name)
    document = tomlkit.parse(spec.read_text(encoding="utf-8"))
    known = {str(column["name"]): column for column in document["columns"]}
    names = [columns] if columns in known else [part.strip() for part in columns.split(",") if part.strip()]
    target = str(document["target"]["column"])
    for each in names:
        if each not in known:
            near = difflib.get_close_matches(each, known, n=1)
            cure = f"Did you mean {near[0]!r}?" if near else f"Its columns: {', '.join(list(known)[:20])}."
            raise PantheonError(f"IGNORE={columns}: the dataset {name!r} has no column {each!r}.", cure)
        if each == target:
            raise PantheonError(
                f"IGNORE={columns}: {each!r} is the target.", "Choose another column, or another TARGET."
            )
        known[each]["role"] = "ignore"
        known[each]["why"] = "left out by IGNORE="
        if str(document.get("split", {}).get("column", "")) == each:
            document["split"] = {"by": "hash"}
    text = tomlkit.dumps(document)
    own = state / "data" / f"{name}.toml"
    try:
        parse_spec(text, str(own))
    except PantheonError as error:
        raise PantheonError(
            f"IGNORE={columns} leaves no valid spec: {error.cause}", "Leave out fewer columns."
        ) from None
    with atomic(own) as part:
        part.write_text(text, encoding="utf-8")
    return names


def notes(spec: Spec | None) -> list[str]:
    """Return what was detected in the file of a new spec and is not usual, such as the line of its header."""
    if spec is None:
        return []
    from pantheon.workflow.data.layout import said  # loads Polars, which is only needed here

    return said(spec.source)

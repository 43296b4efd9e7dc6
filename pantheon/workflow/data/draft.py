"""A draft: how a file is read whose table was not found. The user corrects it, and the next inference uses it.

``STATE/data/NAME.draft`` is the draft; ``STATE/data/.origin/NAME.draft`` is its copy as it was written.
"""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import write_text
from pantheon.workflow.data.spec import Source

LAYOUT = ("format", "separator", "quote", "encoding", "skip", "header_rows", "sheet")
"""Fields of a source that are detected in a file."""
HEAD = """# How {called} is read. If the table was not found as it is, correct this, and run the same command again.
#
# format: csv, parquet, excel, arrow or json. encoding: utf-8, utf-16, cp1252 …
# separator: one character; " " is one or more blanks. quote: the character around fields that contain the separator.
# skip: lines above the header. header_rows: 0 if no line names the columns. sheet: of a workbook; "" is the first one.
"""


def write_draft(state: Path, name: str, called: str, source: Source) -> Path:
    """Write the draft unless there is one, which the user may have edited; return its path."""
    import tomlkit

    draft, base = files_of(state, name)
    if not draft.exists():
        table = {"source": {key: getattr(source, key) for key in LAYOUT}}
        text = HEAD.format(called=re.sub(r"[\x00-\x1f\x7f]", " ", called)) + tomlkit.dumps(table)
        write_text(base, text)
        write_text(draft, text)
    return draft


def draft_edits(state: Path, name: str) -> dict[str, Any]:
    """Return the fields of the source that the user set in the draft, by name.

    Raises:
        PantheonError: the draft is not valid.
    """
    draft, base = files_of(state, name)
    if not draft.exists() or not base.exists():
        return {}
    try:
        mine, old = (tomllib.loads(path.read_text(encoding="utf-8-sig"))["source"] for path in (draft, base))
        edits = {str(key): value for key, value in mine.items() if value != old.get(key)}
    except (tomllib.TOMLDecodeError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise PantheonError(f"{draft} is not valid: {error}.", "Correct it, or delete it.") from None
    kinds = {item.name: type(item.default) for item in fields(Source)}
    for key, value in edits.items():
        if key not in LAYOUT or type(value) is not kinds[key]:
            raise PantheonError(f"{draft}: {key} = {value!r} is not valid.", "Correct it, or delete the file.")
    return edits


def remove_draft(state: Path, name: str) -> None:
    for path in files_of(state, name):
        path.unlink(missing_ok=True)


def files_of(state: Path, name: str) -> tuple[Path, Path]:
    """Return the paths of the draft, and of its copy as it was written."""
    return state / "data" / f"{name}.draft", state / "data" / ".origin" / f"{name}.draft"

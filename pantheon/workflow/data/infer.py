"""Infer a spec from a file: types, roles, the task, and the reason for every column.

It uses a sample of bounded size, taken evenly from the file. `clean_data` catches what the sample does not show: it
checks every cell against the spec, which people may edit.
"""

import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data import formats
from pantheon.workflow.data.cells import usable
from pantheon.workflow.data.evidence import Evidence, join, kept_told, missing_told
from pantheon.workflow.data.infer_column import COUNT, judge
from pantheon.workflow.data.infer_entity import entity
from pantheon.workflow.data.infer_numbers import Style, digits_of, style_among
from pantheon.workflow.data.infer_target import target_of
from pantheon.workflow.data.layout import NOTHING, Table, no_target, said, source_of
from pantheon.workflow.data.missing import values_among, words_among
from pantheon.workflow.data.packed import unpacked
from pantheon.workflow.data.sample import Sample, sample_of
from pantheon.workflow.data.spec import Column, Source, Spec, Split

INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*")


def infer_spec(
    path: Path, target: str, name: str | None = None, header: str = "", given: Mapping[str, Any] = NOTHING
) -> Spec:
    """Infer the spec of a CSV, Parquet or Excel file.

    Args:
        path: the file. For a file in a folder called ``data``, as in deployments, the spec omits the folder.
        target: the column to predict.
        name: name of the dataset; None: that of the file.
        header: "none" if no line of the file names the columns: they are called column_1, column_2 …
        given: fields of the source that a user set: they are not detected.

    Raises:
        PantheonError: the file cannot be read, has no such target, or has nothing to learn from.
    """
    with (
        tempfile.TemporaryDirectory(prefix="infer-") as scratch,
        unpacked(path, Path(scratch)) as file,
    ):
        source = source_of(file, target, header, given)
        source = replace(source, path=path.name if path.parent.name == "data" else str(path))
        frame = formats.scan(file, source, Path(scratch))
        names = frame.collect_schema().names()
        unreadable = formats.unreadable_columns(file, source)
        if target in unreadable:
            raise PantheonError(f"the target {target!r} of {path} is {unreadable[target]}.", formats.AS_FLOAT)
        if target not in names:
            raise no_target(file, target, Table(names, False, 0, 1, []))
        sample = sample_of(file, source, frame)
    texts = {column: text_of(sample.frame[column]) for column in names}
    style, source = style_of(texts, sample, source)
    source = replace(source, **given)
    style = replace(style, decimal=source.decimal, thousands=source.thousands)
    nulls = frozenset(word.casefold() for word in source.null_values)
    columns, seen = [], {}
    for column in names:
        seen[column] = evidence(column, sample, texts[column], nulls)
        if column == target:
            columns.append(Column(target, role="target"))
        elif not usable(sample.frame[column].dtype):
            columns.append(Column(column, "category", "ignore", f"type {sample.frame[column].dtype} is not supported"))
        else:
            judged = judge(seen[column], style)
            if judged.role != "ignore" and (why := index_column(column, names, seen[column], source)):
                judged = Column(column, judged.type, "ignore", why)
            columns.append(tolerant(judged, seen[column]))
    columns += [Column(column, "category", "ignore", why) for column, why in unreadable.items()]
    if not usable(sample.frame[target].dtype):
        what = f"the target {target!r} of {path} is {sample.frame[target].dtype}."
        raise PantheonError(what, "Choose a target with classes or numbers.")
    task, aim, aimed = target_of(path, seen[target], style, source)
    columns = [aimed if column.name == target else column for column in columns]
    columns = [leaking(column, seen, target, aimed) for column in columns]
    columns, split = entities(entity(columns, seen, target, sample.frame))
    if not any(column.role == "feature" for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.why}" for column in columns if column.role != "target")
        cure = f"{reasons or 'It has only the target'}."
        if any(column.why.startswith("free text") for column in columns):
            cure += (
                " Models here do not read free text: add columns with numbers or categories that you make from it, "
                "such as its length, or whether a word occurs."
            )
        raise PantheonError(f"{path} has no column to learn from.", cure)
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "data"
    found = "".join(f" {note[:1].upper()}{note[1:]}." for note in (*said(source), *sample.left.notes()))
    described = f"{sample.rows:,} rows of {path.name}; spec inferred from {sample.frame.height:,} of them.{found}"
    return Spec(name or slug, task, source, aim, tuple(columns), split, described)


def index_column(name: str, header: list[str], seen: Evidence, source: Source) -> str:
    """Return why a column is only the index of the rows; "" if it is not."""
    if INDEX.fullmatch(name):
        return "the index of the rows that pandas keeps"
    if source.header_rows == 0:
        return ""
    whole = len(seen.present) and seen.present.cast(pl.Int64, strict=False).null_count() == 0
    if name == header[0] == "column_1" and (whole or seen.present.is_unique().all()):
        return "has no name in the file: the index of the rows"
    return ""


def text_of(values: pl.Series) -> pl.Series:
    """Return any column as text; null if its type is not supported."""
    if not usable(values.dtype):
        return pl.Series(values.name, [None], dtype=pl.String).new_from_index(0, len(values))
    if values.dtype.is_float():
        values = values.fill_nan(None)
    return values.cast(pl.String).str.strip_chars()


def evidence(name: str, sample: Sample, texts: pl.Series, nulls: frozenset[str]) -> Evidence:
    """Return what the sample shows of a column.

    Args:
        texts: its cells, trimmed.
        nulls: case-folded words that usually mean missing.
    """
    kind = native(sample.frame[name].dtype)
    folded = texts.str.to_lowercase()
    kept = values_among(folded, nulls) if not kind else frozenset()
    extra = words_among(texts, folded) if not kind else ()
    words = [*nulls - kept, *(word.casefold() for word in extra), ""]
    missing = folded.is_in(words).fill_null(True)
    cells = texts.zip_with(~missing, pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))).rename(name)
    everything = sample.distinct.get(name)
    if everything is not None:
        everything = {text for text in everything if text.casefold() not in words}
    if kind == "time" and texts.str.contains(r"00:00:00(\.0+)?$").all():
        kind = "date"
    found = texts.filter(missing).fill_null("").value_counts(sort=True, name=COUNT).rows()
    spelt = texts.filter(folded.is_in(list(kept)).fill_null(False)).unique().sort().to_list() if kept else []
    return Evidence(
        name,
        cells,
        sample.rows,
        sample.step,
        None if everything is None else frozenset(everything),
        kind,
        sample.different.get(name, 0),
        dict(found),
        extra,
        tuple(spelt),
    )


def native(dtype: pl.DataType) -> str:
    """Return the type that the file declares for a column; "" for text."""
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return "time" if isinstance(dtype, pl.Datetime) else "date" if dtype == pl.Date else ""


def style_of(texts: dict[str, pl.Series], sample: Sample, source: Source) -> tuple[Style, Source]:
    """Detect the number format that parses most cells of this file."""
    digits = []
    for name, column in texts.items():
        if sample.frame[name].dtype == pl.String:
            cells = column.drop_nulls().unique().head(2000)
            found = digits_of(cells)
            if len(found) > 0.3 * len(cells):
                digits.append(found)
    style = style_among(digits, source.separator == ";")
    return style, replace(source, decimal=style.decimal, thousands=style.thousands)


def tolerant(column: Column, seen: Evidence) -> Column:
    """Return the column with what means missing in it, and a tolerance somewhat above what was observed."""
    if column.role == "ignore":
        return column
    codes = int(seen.present.is_in(list(column.null_values)).sum()) if column.null_values else 0
    missing = seen.missing + codes / max(1, len(seen.cells))
    why = join(column.why, missing_told(seen, missing), kept_told(seen))
    column = replace(column, why=why, null_values=(*seen.null_values, *column.null_values))
    if not missing and column.max_unreadable <= 0.01:
        return replace(column, max_missing=0.05)
    room = min(1.0, math.ceil(100 * (1.5 * missing + 0.05 + column.max_unreadable)) / 100)
    return replace(column, nullable=True, max_missing=room)


def leaking(column: Column, seen: dict[str, Evidence], target: str, aimed: Column) -> Column:
    """Ignore the column if it leaks the target: it is equal to it, or maps one to one to its values."""
    if column.role != "feature":
        return column
    mine, theirs = seen[column.name].cells, seen[target].cells
    same = (mine.eq_missing(theirs)).all()
    pairs = pl.DataFrame({"a": mine, "b": theirs}).drop_nulls()
    if not same and aimed.type != "number" and pairs.height >= 20 and mine.null_count() == theirs.null_count():
        distinct = pairs.unique().height
        same = distinct == pairs["a"].n_unique() == pairs["b"].n_unique() > 1
    if same:
        why = f"leaks the target: its values map one to one to those of {target!r}"
        return Column(column.name, column.type, "ignore", why)
    return column


def entities(columns: list[Column]) -> tuple[list[Column], Split]:
    """Keep at most one entity, and split by it."""
    names = [column.name for column in columns if column.role == "entity"]
    if not names:
        return columns, Split()
    rest = "an identifier; the data is split by another one, " + repr(names[0])
    columns = [replace(column, role="ignore", why=rest) if column.name in names[1:] else column for column in columns]
    return columns, Split("hash", names[0])

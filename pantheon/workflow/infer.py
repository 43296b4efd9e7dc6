"""Works out a spec from a file: types, roles, the task, and for each column the reason in plain words.

It looks at a sample of bounded size from all over the file. What the sample does not show is caught by `clean_data`,
which holds every cell to the spec that is written here and that people may edit.
"""

import math
import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.forms import plain_number, usable
from pantheon.workflow.infer_column import NO, YES, Evidence, Style, judge, short
from pantheon.workflow.infer_file import Sample, opened, sample_of, source_of
from pantheon.workflow.readers import nearest
from pantheon.workflow.spec import NULLS, Column, Source, Spec, Split, Target, Value

STYLES = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
MOST_CLASSES = 100
WHOLE_CLASSES = 10
"""A whole number with so many values, or fewer, is a class; with more a quantity."""
MISSING_WORDS = (
    "unknown", "missing", "not available", "not applicable", "n.a.", "undefined", "tbd", "(blank)",
    "#value!", "#div/0!", "#ref!", "#name?", "inf", "-inf",
)  # fmt: skip
"""Words for "missing" among numbers, besides those that are one everywhere."""
POSITIVE = ("1", "positive", "pos", "churned", "bad", "fraud", "malignant", "spam", "default")


def infer_spec(path: Path, target: str, name: str | None = None) -> Spec:
    """Work out the spec of a CSV, Parquet or Excel file.

    Args:
        path: the file. In a folder called ``data`` the spec names it without the folder, as deployments keep it.
        target: the column to predict.
        name: the dataset's; the file's name if None.

    Raises:
        PantheonError: the file cannot be read, there is no such target, or nothing can be learnt from it.
    """
    source = source_of(path)
    with opened(path, source) as frame:
        header = frame.collect_schema().names()
        if target not in header:
            cure = nearest(target, header) or f"It has {', '.join(map(repr, header[:20]))}."
            raise PantheonError(f"{path} has no target {target!r}.", f"{cure} Give TARGET=column.")
        sample = sample_of(path, source, frame)
    texts = {column: text_of(sample.frame[column]) for column in header}
    style, source = style_of(texts, sample, source)
    nulls = [word.casefold() for word in source.null_values]
    columns, seen = [], {}
    for column in header:
        seen[column] = evidence(column, sample, texts[column], nulls)
        if column == target:
            columns.append(Column(target, role="target"))
        elif not usable(sample.frame[column].dtype):
            columns.append(Column(column, "category", "ignore", f"{sample.frame[column].dtype} cannot be used"))
        else:
            columns.append(tolerant(judge(seen[column], style), seen[column]))
    if not usable(sample.frame[target].dtype):
        what = f"the target {target!r} of {path} is {sample.frame[target].dtype}."
        raise PantheonError(what, "Choose a target that is a class or a number.")
    task, aim, aimed = target_of(path, seen[target], style)
    columns = [aimed if column.name == target else column for column in columns]
    columns = [leaking(column, seen, target, aimed) for column in columns]
    columns, split = entities(columns)
    if not any(column.role == "feature" for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.why}" for column in columns if column.role != "target")
        raise PantheonError(f"{path} has no column to learn from.", f"{reasons or 'It has the target alone'}.")
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "data"
    described = f"{sample.rows:,} rows of {path.name}: worked out from {sample.frame.height:,} of them."
    return Spec(name or slug, task, source, aim, tuple(columns), split, described)


def text_of(values: pl.Series) -> pl.Series:
    """Any column as text; one that cannot be used is null."""
    if not usable(values.dtype):
        return pl.Series(values.name, [None], dtype=pl.String).new_from_index(0, len(values))
    if values.dtype.is_float():
        values = values.fill_nan(None)
    return values.cast(pl.String).str.strip_chars()


def evidence(name: str, sample: Sample, texts: pl.Series, nulls: list[str]) -> Evidence:
    missing = texts.str.to_lowercase().is_in([*nulls, ""]).fill_null(True)
    cells = texts.zip_with(~missing, pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))).rename(name)
    everything = sample.distinct.get(name)
    if everything is not None:
        everything = {text for text in everything if text and text.casefold() not in nulls}
    kind = native(sample.frame[name].dtype)
    if kind == "time" and texts.str.contains(r"00:00:00(\.0+)?$").all():
        kind = "date"
    return Evidence(
        name,
        cells,
        sample.rows,
        sample.step,
        None if everything is None else frozenset(everything),
        kind,
        sample.different.get(name, 0),
    )


def native(dtype: pl.DataType) -> str:
    """What a typed file says of a column."""
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return "time" if isinstance(dtype, pl.Datetime) else "date" if dtype == pl.Date else ""


def style_of(texts: dict[str, pl.Series], sample: Sample, source: Source) -> tuple[Style, Source]:
    """How numbers are written in this file: the way in which most of its cells are numbers. Also words for missing."""
    written = [name for name in texts if sample.frame[name].dtype == pl.String]
    cells = {name: texts[name].drop_nulls().unique().head(2000) for name in written}
    cells = {name: column for name, column in cells.items() if column.str.contains(r"^\W{0,2}\d").mean() or 0}
    order = list(STYLES)
    if source.separator == ";":  # where commas are decimal; in doubt 1,234 is a little more than one
        order.sort(key=lambda one: (one != (".", ""), one[0] == "."))
    best = max(order, key=lambda one: sum(fit(column, *one) for column in cells.values()))
    words = set(NULLS)
    for column in cells.values():
        if fit(column, *best) > 0.5 * len(column):
            words |= {text for text in column.to_list() if text.casefold() in MISSING_WORDS}
    extra = tuple(sorted(words - set(NULLS)))
    style = Style(*best, day_first=best[0] == "," or source.separator == ";")
    return style, replace(source, decimal=best[0], thousands=best[1], null_values=NULLS + extra)


def fit(column: pl.Series, decimal: str, thousands: str) -> int:
    numbers = plain_number(column, decimal, thousands).cast(pl.Float64, strict=False)
    return len(numbers) - numbers.null_count()


def tolerant(column: Column, seen: Evidence) -> Column:
    """The column with room for about as much missing as there is."""
    if column.role == "ignore":
        return column
    if not seen.missing and column.max_unreadable <= 0.01:
        return replace(column, max_missing=0.05)
    room = min(1.0, math.ceil(100 * (1.5 * seen.missing + 0.05 + column.max_unreadable)) / 100)
    return replace(column, nullable=True, max_missing=room)


def target_of(path: Path, seen: Evidence, style: Style) -> tuple[str, Target, Column]:
    """The task, the target and its column."""
    name = seen.name
    if not len(seen.present):
        raise PantheonError(f"the target {name!r} of {path} is missing in every row.", "Choose another TARGET.")
    column = judge(seen, style)
    texts = sorted(seen.everything if seen.everything is not None else set(seen.present.unique().to_list()))
    if len({text.casefold() for text in texts}) == 1:
        cure = "Give data with two classes or more, or choose another TARGET."
        raise PantheonError(f"the target {name!r} of {path} has one class only: {short(texts[0])}.", cure)
    room = min(1.0, math.ceil(100 * (1.5 * seen.missing + 0.05)) / 100)
    column = replace(column, role="target", nullable=False, max_missing=room, example=None, slice=False)
    if column.type == "date":
        raise PantheonError(f"the target {name!r} is a date.", "Choose a target that is a class or a number.")
    numbers = plain_number(pl.Series(texts), style.decimal, style.thousands) if not seen.native else pl.Series(texts)
    values = numbers.cast(pl.Float64, strict=False)
    if values.null_count() <= len(values) * column.max_unreadable or column.type in ("number", "integer"):
        read = sorted(set(values.drop_nulls().to_list()))
        if len(read) > WHOLE_CLASSES or any(value != int(value) for value in read):
            why = join_why("what is predicted: a number", column.why)
            return "regression", Target(name), replace(column, type="number", why=why, categories=())
        whole = tuple(int(value) for value in read)
        aim = Target(name, whole, positive=whole[-1] if len(whole) == 2 else None)
        why = f"what is predicted: one of {len(whole)} whole numbers"
        return "classification", aim, replace(column, type="integer", why=why)
    return "classification", *text_classes(path, seen, texts, column)


def text_classes(path: Path, seen: Evidence, texts: list[str], column: Column) -> tuple[Target, Column]:
    """A target of words: each a class; written in capitals or not is the same."""
    counts = seen.present.value_counts(sort=True, name="count").sort(["count", seen.name], descending=[True, False])
    often: dict[str, str] = {}
    for text in [*counts[seen.name], *texts]:
        often.setdefault(text.casefold(), text)
    classes = sorted(often.values())
    if len(classes) > MOST_CLASSES or len(classes) > max(2, len(seen.present) // 2):
        what = f"the target {seen.name!r} of {path} has {len(classes):,} different texts in {seen.rows:,} rows"
        raise PantheonError(f"{what}, too many for classes.", "Choose another TARGET.")
    why = f"what is predicted: one of {len(classes)} classes"
    if set(often) <= {"true", "false"}:
        return Target(seen.name, (False, True), positive=True), replace(column, type="boolean", why=why, categories=())
    positive: Value | None = None
    if len(classes) == 2:
        likely = [text for text in classes if text.casefold() in YES or text.casefold() in POSITIVE]
        unlikely = [text for text in classes if text.casefold() in NO]
        positive = (
            likely[0] if len(likely) == 1 else next((text for text in classes if text not in unlikely), classes[-1])
        )
        if not likely and not unlikely:
            positive = classes[-1]
        if unlikely and classes[0] not in unlikely:
            classes.reverse()
    categories = tuple(classes)
    aim = Target(seen.name, categories, positive=positive)
    return aim, replace(column, type="category", why=why, categories=categories, unknown="refuse")


def leaking(column: Column, seen: dict[str, Evidence], target: str, aimed: Column) -> Column:
    """The column, ignored where it is the target again: the same, or each value of one for one of the other."""
    if column.role != "feature":
        return column
    mine, theirs = seen[column.name].cells, seen[target].cells
    same = (mine.eq_missing(theirs)).all()
    pairs = pl.DataFrame({"a": mine, "b": theirs}).drop_nulls()
    if not same and aimed.type != "number" and pairs.height >= 20 and mine.null_count() == theirs.null_count():
        distinct = pairs.unique().height
        same = distinct == pairs["a"].n_unique() == pairs["b"].n_unique() > 1
    if same:
        why = f"tells the target: each value of it goes with one of {target!r}, in every row"
        return Column(column.name, column.type, "ignore", why)
    return column


def entities(columns: list[Column]) -> tuple[list[Column], Split]:
    """At most one entity, which the split then goes by."""
    names = [column.name for column in columns if column.role == "entity"]
    if not names:
        return columns, Split()
    rest = "an identifier: the split goes by another, " + repr(names[0])
    columns = [replace(column, role="ignore", why=rest) if column.name in names[1:] else column for column in columns]
    return columns, Split("hash", names[0])


def join_why(*parts: str) -> str:
    return ", ".join(part for part in parts if part)

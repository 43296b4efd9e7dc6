"""Infer what is predicted: classes or a number."""

import math
from dataclasses import replace
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data.evidence import Evidence, join, kept_told, missing_told, short
from pantheon.workflow.data.infer_column import COUNT, NO, YES, judge
from pantheon.workflow.data.infer_numbers import Style
from pantheon.workflow.data.missing import FOLDED
from pantheon.workflow.data.number_forms import Written, read_numbers, written
from pantheon.workflow.data.spec import Column, Source, Target, Value

MOST_CLASSES = 100
WHOLE_CLASSES = 10
"""An integer target with up to this many values is a classification."""
CODE_CLASSES = 22
"""... and up to this many if they are 0, 1, 2 … or 1, 2, 3 … without gaps, and none is rare: numbers of groups."""
EITHER_WAY = 50
"""Up to so many whole numbers are listed as classes for a regression, too, so that only its task is to be changed."""
POSITIVE = ("1", "+", "positive", "pos", "churned", "bad", "fraud", "malignant", "spam", "default")


def target_of(path: Path, seen: Evidence, style: Style, source: Source) -> tuple[str, Target, Column]:
    """Return the task, the target and its column."""
    name = seen.name
    if not len(seen.present):
        raise PantheonError(f"the target {name!r} of {path} is missing in every row.", "Choose another TARGET.")
    column = judge(seen, style)
    texts = sorted(seen.everything if seen.everything is not None else set(seen.present.unique().to_list()))
    if len({text.casefold() for text in texts}) == 1:
        cure = "Provide data with at least two classes, or choose another TARGET."
        raise PantheonError(f"the target {name!r} of {path} has only one class: {short(texts[0])}.", cure)
    unreadable = column.max_unreadable if column.max_unreadable > 0.01 else 0.0
    room = min(1.0, math.ceil(100 * (1.5 * seen.missing + 0.05 + unreadable)) / 100)
    about = join(missing_told(seen, seen.missing), kept_told(seen))
    column = replace(column, role="target", nullable=False, max_missing=room, example=None, slice=False)
    column = replace(column, null_values=(*seen.null_values, *column.null_values))
    if column.type == "date":
        raise PantheonError(f"the target {name!r} is a date.", "Choose a target with classes or numbers.")
    values = read_numbers(pl.Series(texts), Written() if seen.native else written(column, source))[0]
    numeric = values.null_count() <= len(values) * column.max_unreadable or column.type in ("number", "integer")
    if numeric and not (column.units and len(texts) <= WHOLE_CLASSES):  # "1 star" is a class as it is written
        read = sorted(set(values.filter(values.is_finite()).to_list()))
        if len(read) < 2:
            what = f"the target {name!r} of {path} has {'only one finite value' if read else 'no finite value'}."
            raise PantheonError(what, "Provide data with at least two values, or choose another TARGET.")
        return number_target(seen, read, column, about, written(column, source))
    aim, column = text_classes(path, seen, texts, column)
    column = replace(column, decimal="", thousands="", units={}, forms=())
    return "classification", aim, replace(column, why=join(column.why, about))


def number_target(
    seen: Evidence, read: list[float], column: Column, about: str, how: Written
) -> tuple[str, Target, Column]:
    """Return the task, the target and its column for a target of numbers: classes or a regression.

    Whole numbers are listed as classes in both cases, so that ``task`` is the only setting to change.
    """
    whole = all(value == int(value) for value in read) and len(read) <= EITHER_WAY
    integers = tuple(int(value) for value in read) if whole else ()
    unit = " ".join(unit for unit, factor in column.units.items() if factor == 1)
    if whole and likely_classes(seen, integers, how):
        why = join(f"the target: {len(integers)} integer classes", about)
        if len(integers) > 2:
            why += '; task = "regression" predicts a number instead'
        aim = Target(seen.name, integers, positive=integers[-1] if len(integers) == 2 else None)
        return "classification", aim, replace(column, type="integer", why=why, null_values=seen.null_values)
    why = join("the target: a number", column.why, about)
    if whole:
        why += f'; task = "classification" predicts one of the {len(integers)} values instead'
    column = replace(column, type="number", why=why, categories=())
    return "regression", Target(seen.name, integers, unit=unit), column


def likely_classes(seen: Evidence, integers: tuple[int, ...], how: Written) -> bool:
    """Whether whole numbers are classes: few, or numbers of groups from 0 or 1 of which none is rare."""
    if len(integers) <= WHOLE_CLASSES:
        return True
    least, span = integers[0], integers[-1] - integers[0] + 1
    if len(integers) > CODE_CLASSES or least not in (0, 1) or span > 1.2 * len(integers):
        return False
    counts = read_numbers(seen.present, Written() if seen.native else how)[0].drop_nulls().value_counts(name=COUNT)
    rarest = float(counts[COUNT].min() or 0) / float(counts[COUNT].mean() or 1)  # type: ignore[arg-type]
    return rarest >= (0.1 if least == 1 else 0.3)  # counts of things often begin at 0 and have a long tail


def text_classes(path: Path, seen: Evidence, texts: list[str], column: Column) -> tuple[Target, Column]:
    """Return a target whose classes are texts; upper and lower case are the same class."""
    counts = seen.present.value_counts(sort=True, name=COUNT).sort([COUNT, seen.name], descending=[True, False])
    often: dict[str, str] = {}
    for text in [*counts[seen.name], *texts]:
        often.setdefault(text.casefold(), text)
    classes = sorted(often.values())
    if len(classes) > MOST_CLASSES or len(classes) > max(2, len(seen.present) // 2):
        what = f"the target {seen.name!r} of {path} has {len(classes):,} distinct values in {seen.rows:,} rows"
        raise PantheonError(f"{what}, too many for classes.", "Choose another TARGET.")
    why = f"the target: {len(classes)} classes"
    if set(often) <= {"true", "false"}:
        return Target(seen.name, (False, True), positive=True), replace(column, type="boolean", why=why, categories=())
    positive: Value | None = None
    if len(classes) == 2:
        likely = [text for text in classes if text.casefold() in YES or text.casefold() in POSITIVE]
        unlikely = [text for text in classes if text.casefold() in NO or text.casefold() in FOLDED]
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

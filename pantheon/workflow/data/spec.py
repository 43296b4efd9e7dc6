"""The spec of a dataset: where its rows come from, what its columns mean, what is predicted. An editable TOML file.

`clean_data` checks the data against the spec. The rules, for every column that is used:

- A blank cell, or one of ``source.null_values`` or of the column's own ``null_values``, is **missing**, whatever its
  case. A listed category, a class, and a text of ``true`` or ``false`` is never missing.
- A cell that cannot be parsed as the column's type, is outside ``min`` … ``max`` or is an unlisted category (with
  ``unknown = "refuse"``) is **unreadable**. Unreadable cells become missing, up to a share of ``max_unreadable`` of
  all rows; a larger share stops the run.
- A share of missing cells above ``max_missing`` (including unreadable cells) stops the run.
- Rows without a value for a feature that is not ``nullable`` are dropped, as are rows without a target.

Standard library only, so that the command line and the serving process can import it quickly.
"""

from __future__ import annotations  # so that spec_file sees the types of fields as they are written here

import json
from dataclasses import dataclass, field

TASKS = ("classification", "regression")
KINDS = ("generator", "sklearn", "file")
FORMATS = ("csv", "parquet", "excel", "arrow", "json")
TYPES = ("number", "integer", "boolean", "category", "date")
ROLES = ("feature", "target", "entity", "time", "ignore")
SPLITS = ("hash", "time")
FORMS = ("parentheses", "minus behind", "limits")
"""Forms of numbers that a column may accept; see ``Column.forms``."""
UNKNOWN = ("warn", "other", "refuse")

NULLS = ("NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "Null", "null", "None", "none", "#N/A", "?", "-", "--", ".")
TRUE = ("true", "yes", "y", "t", "1", "on")
FALSE = ("false", "no", "n", "f", "0", "off")

Value = bool | int | float | str
"""A class of the target, as a JSON value."""


@dataclass(frozen=True)
class Source:
    """Where the rows come from.

    Attributes:
        kind: "generator" and "sklearn" take ``name``; "file" takes ``path``.
        name: the generator (``robots``) or the scikit-learn dataset (``wine``).
        path: a CSV, Parquet or Excel file; relative to the deployment's ``data`` folder, else to the current folder.
        format: of the file; empty: detected from the file name.
        separator, quote, encoding: of a CSV file. encoding is a name that Python supports; the separator " " is one or
            more blanks.
        skip: lines, or rows of a sheet, above the header.
        header_rows: 0 if nothing names the columns: they are called column_1, column_2 …
        decimal, thousands: the marks in numbers that are text ("." and "," in 1,234.5); a blank as ``thousands`` stands
            for any kind of blank, and "'" also for a typographic apostrophe.
        sheet: of an Excel file; empty: the first one.
        null_values: texts that mean "missing", besides the empty text; see the module's docstring.
        rows, seed: for a generator.
    """

    kind: str = "file"
    name: str = ""
    path: str = ""
    format: str = ""
    separator: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    skip: int = 0
    header_rows: int = 1
    decimal: str = "."
    thousands: str = ""
    sheet: str = ""
    null_values: tuple[str, ...] = NULLS
    rows: int = 5000
    seed: int = 42


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        column: its name.
        classes: JSON values; the position of a class is its index in ``clean.parquet`` and in the model. A regression
            does not use them; they are there in case ``task`` is changed.
        labels: display names of classes, by ``label_key(class)``.
        positive: the class that binary metrics refer to.
        unit: of a number.
    """

    column: str = ""
    classes: tuple[Value, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    positive: Value | None = None
    unit: str = ""


@dataclass(frozen=True)
class Split:
    """How rows are split into the training and the test part.

    Attributes:
        by: "hash" of the entity, or "time": the last rows are the test part.
        column: the entity or the time; empty with "hash": every row is a separate entity.
        train_only: a boolean column whose role is "ignore": rows with true are never held out, such as users' feedback,
            which must not judge the model that is trained on it; empty: none.
    """

    by: str = "hash"
    column: str = ""
    train_only: str = ""


@dataclass(frozen=True)
class Store:
    """What the feature store knows about the features of this dataset.

    Attributes:
        owner: who answers questions about them.
        ttl_days: from this age on, values are not used any more; 0: they do not expire.
        freshness_days: an expectation: the newest value is not older; 0: none.
    """

    owner: str = ""
    ttl_days: float = 0.0
    freshness_days: float = 0.0


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        type: number (Float64), integer (Int64), boolean (Boolean), category (String) or date (Date; Datetime("ms")
            without a time zone where a format has a time of day): the type in ``clean.parquet``, except for the
            target: the class index (Int32) of a classification, Float64 of a regression.
        role: feature, target, entity (its rows stay together in the split), time, or ignore.
        why: why this type and role were chosen.
        nullable: whether it may be missing, in the data and in prediction requests.
        min, max: the smallest and largest valid value; an ISO date for dates.
        categories: the listed ones, in the order of their codes.
        unknown: what to do with an unlisted category: "warn" counts it, says so, and treats it as missing; "other" does
            the same silently, for lists of the frequent ones; "refuse" makes it unreadable.
        true, false: texts for a boolean, in lower case.
        null_values: texts that mean missing in this column, besides ``source.null_values``; a number (-999) for every
            way to write it.
        decimal, thousands: the marks in this column's numbers, if they differ from those of the source; without a
            ``decimal``, both are those of the source.
        units: texts that may stand before or after a number, such as "$", "%" or "kg", with the factor of each. A cell
            without a unit is the number itself.
        forms: how else numbers are written: "parentheses", (5) is -5; "minus behind", 5- is -5; "limits", <5, >5, ≤5,
            ≥5 and 5+ are 5.
        format: of a date, as for strftime; a month without a day is its first day.
        formats: of other dates in this column, tried in order after ``format``; then the ISO forms.
        max_missing, max_unreadable: shares of all rows; see the module's docstring.
        example: a value to show in a form.
        slice: whether to report metrics for every value of it.
        stored: a feature of the feature store, such as "robots:rust_level": the column is not in the file; every row
            gets the value of its entity that was known at its time.
    """

    name: str
    type: str = "number"
    role: str = "feature"
    why: str = ""
    description: str = ""
    nullable: bool = False
    min: float | str | None = None
    max: float | str | None = None
    categories: tuple[str, ...] = ()
    unknown: str = "warn"
    true: tuple[str, ...] = TRUE
    false: tuple[str, ...] = FALSE
    null_values: tuple[str, ...] = ()
    decimal: str = ""
    thousands: str = ""
    units: dict[str, float] = field(default_factory=dict)
    forms: tuple[str, ...] = ()
    format: str = ""
    formats: tuple[str, ...] = ()
    max_missing: float = 0.5
    max_unreadable: float = 0.01
    example: Value | None = None
    slice: bool = False
    stored: str = ""

    @property
    def has_time(self) -> bool:
        """Whether this is a date with a time of day."""
        return self.type == "date" and any(
            code in form for form in (self.format, *self.formats) for code in ("%H", "%I", "%T", "%R", "%+")
        )


@dataclass(frozen=True)
class Spec:
    """A dataset; the module's docstring explains the rules."""

    name: str
    task: str
    source: Source
    target: Target
    columns: tuple[Column, ...]
    split: Split = Split()
    description: str = ""
    store: Store = Store()

    @property
    def features(self) -> list[Column]:
        """The model's inputs, in the order of the spec."""
        return [column for column in self.columns if column.role == "feature"]

    @property
    def stored(self) -> list[Column]:
        """The columns that come from the feature store."""
        return [column for column in self.columns if column.stored]

    @property
    def used(self) -> list[Column]:
        """The columns of ``clean.parquet``: all except ignored ones, which only ``split.train_only`` may name."""
        return [column for column in self.columns if column.role != "ignore" or column.name == self.split.train_only]

    @property
    def positive_index(self) -> int:
        """The index of the class that binary metrics refer to; the last class if the spec names none."""
        classes = list(self.target.classes)
        return classes.index(self.target.positive) if self.target.positive in classes else len(classes) - 1

    @property
    def class_names(self) -> list[str]:
        """The display names of the classes."""
        return [self.target.labels.get(label_key(value), label_key(value)) for value in self.target.classes]

    def column(self, name: str) -> Column:
        """Return the column called ``name``.

        Raises:
            KeyError: the spec has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def label_key(value: Value) -> str:
    """Return the key of a class in ``labels``: the text itself, other values as JSON ("0", "true")."""
    return value if isinstance(value, str) else json.dumps(value)


def same(one: Value, other: Value) -> bool:
    """Whether both are the same JSON value. (In Python True == 1.)"""
    return one == other and isinstance(one, bool) == isinstance(other, bool)

"""What a dataset is: where its rows come from, what its columns mean, what is predicted. Kept as an editable TOML file.

A spec is also the contract that `clean_data` holds the data to. Its rules, for every column that is used:

- A blank cell, or one of ``source.null_values``, is **missing**.
- A cell that cannot be read as the column's type, lies outside ``min`` … ``max`` or is a category that the spec does
  not know (``unknown = "refuse"``) is **unreadable**. Unreadable cells become missing, up to a share of
  ``max_unreadable`` of all rows; more of them stop the run.
- More missing cells than ``max_missing`` (a share of all rows, those that became missing included) stop the run.
- Where a feature is not ``nullable``, the rows without it are left out; so are rows without a target.

Light: the standard library alone, so that the command line and the button may read specs too.
"""

from __future__ import annotations  # so that spec_read sees the types of fields as they are written here

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pantheon.errors import PantheonError

TASKS = ("classification", "regression")
KINDS = ("generator", "sklearn", "file")
FORMATS = ("csv", "parquet", "excel")
TYPES = ("number", "integer", "boolean", "category", "date")
ROLES = ("feature", "target", "entity", "time", "ignore")
SPLITS = ("hash", "time")
UNKNOWN = ("refuse", "other")

NULLS = ("NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "Null", "null", "None", "none", "#N/A", "?", "-", "--", ".")
TRUE = ("true", "yes", "y", "t", "1", "on")
FALSE = ("false", "no", "n", "f", "0", "off")

Value = bool | int | float | str
"""A class of the target, as it goes into JSON."""


@dataclass(frozen=True)
class Source:
    """Where the rows come from.

    Attributes:
        kind: "generator" and "sklearn" take ``name``; "file" takes ``path``.
        name: the generator (``robots``) or the scikit-learn data set (``wine``).
        path: a CSV, Parquet or Excel file; relative to the deployment's ``data`` folder, else to where one is.
        format: of the file; empty goes by the ending.
        separator, quote, encoding: of a CSV file. encoding is one of Python's names.
        decimal, thousands: how numbers are written as text ("." and "," in 1,234.5).
        sheet: of an Excel file; empty takes the first.
        null_values: texts that mean "missing", besides the empty one.
        rows, seed: for a generator.
    """

    kind: str = "file"
    name: str = ""
    path: str = ""
    format: str = ""
    separator: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
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
        classes: JSON values; a class's place in this list is its index in ``clean.parquet`` and in the model.
        labels: words for a class, by ``label_key(class)``.
        positive: the class that scores of two classes speak of.
        unit: of a number.
    """

    column: str = ""
    classes: tuple[Value, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    positive: Value | None = None
    unit: str = ""


@dataclass(frozen=True)
class Split:
    """How rows go to the training and the test part.

    Attributes:
        by: "hash" of the entity, or "time": the last rows are the test.
        column: the entity or the time; empty with "hash" takes each row for an entity of its own.
    """

    by: str = "hash"
    column: str = ""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        type: number (Float64), integer (Int64), boolean (Boolean), category (String) or date (Date; Datetime("ms")
            without a zone where ``format`` has a time of day): the type in ``clean.parquet``. The target of a
            classification is there as its class index (Int32), that of a regression as Float64.
        role: feature, target, entity (whose rows stay together), time, or ignore.
        why: why it was taken for this, in plain words.
        nullable: may it be missing, here and when the model is asked?
        min, max: the least and the greatest that are believed; an ISO date for dates.
        categories: known ones, in the order of their codes.
        unknown: "refuse" a category that is not known, or take it as "other".
        true, false: texts for a boolean, in lower case.
        format: of a date, in the letters of strftime.
        max_missing, max_unreadable: shares of all rows; see the module.
        example: a value to show in a form.
        slice: give the metrics for each of its values too.
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
    unknown: str = "refuse"
    true: tuple[str, ...] = TRUE
    false: tuple[str, ...] = FALSE
    format: str = ""
    max_missing: float = 0.5
    max_unreadable: float = 0.01
    example: Value | None = None
    slice: bool = False

    @property
    def has_time(self) -> bool:
        """Is this a date with a time of day?"""
        return self.type == "date" and any(code in self.format for code in ("%H", "%I", "%T", "%R", "%+"))


@dataclass(frozen=True)
class Spec:
    """A dataset; see the module for the contract that it states."""

    name: str
    task: str
    source: Source
    target: Target
    columns: tuple[Column, ...]
    split: Split = Split()
    description: str = ""

    @property
    def features(self) -> list[Column]:
        """The model's inputs, in the order of the spec."""
        return [column for column in self.columns if column.role == "feature"]

    @property
    def used(self) -> list[Column]:
        """Every column that ``clean.parquet`` has: all but the ignored."""
        return [column for column in self.columns if column.role != "ignore"]

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: the spec has none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @classmethod
    def read(cls, path: Path) -> Spec:
        """The spec in a TOML file.

        Raises:
            PantheonError: it is not there, not TOML, or a field is not as it should be; names the line.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise PantheonError(
                f"there is no spec {path}.", "`bin/pantheon run --data FILE --target COLUMN` writes one."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise PantheonError(f"the spec {path} cannot be read: {error}.") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, path: str = "spec.toml") -> Spec:
        """The spec in a TOML text; ``path`` is for messages. Errors as ``read``."""
        from pantheon.workflow.spec_read import Reader  # which itself needs the classes of this module

        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PantheonError(f"{path} is not valid TOML: {error}.", "Correct that line.") from None
        return Reader(path, text).spec(raw)

    def dump(self) -> str:
        """The spec as TOML with comments for the person who edits it; ``Spec.parse`` gives the same spec back."""
        from pantheon.workflow.spec_text import dump  # tomlkit: only for writing

        return dump(self)


def label_key(value: Value) -> str:
    """A class as a key of ``labels``: text as it is, else as in JSON ("0", "true")."""
    return value if isinstance(value, str) else json.dumps(value)


def same(one: Value, other: Value) -> bool:
    """Are these the same JSON value? (In Python True == 1.)"""
    return one == other and isinstance(one, bool) == isinstance(other, bool)

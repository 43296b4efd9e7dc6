"""One column's cells, from what people wrote to what the spec says they are. `clean_data` runs this batch by batch.

Most cells are as they should be, so each kind has a quick way that reads those (5 to 30 ns a cell) and leaves null what
it does not understand. The rest is cut down to its distinct texts, which are looked at closely, and put back.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from pantheon.workflow.forms import DATES, TIMES, nulls, parse_date, plain_number
from pantheon.workflow.spec import Column, Source, Target, Value, label_key

KINDS = ("missing", "trimmed", "case", "number mark", "other form", "unreadable", "outside")
"""What may be found in a cell; the last two are unreadable in the sense of the spec, and become missing."""


@dataclass
class Counts:
    """How many cells of a column were found to be what; ``first`` is one that cannot be read: (row, text)."""

    rows: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    first: tuple[int, str] | None = None

    def add(self, other: "Counts") -> None:
        self.rows += other.rows
        for kind, count in other.kinds.items():
            self.kinds[kind] += count
        self.first = self.first or other.first

    @property
    def unreadable(self) -> int:
        return self.kinds["unreadable"] + self.kinds["outside"]

    @property
    def missing(self) -> int:
        """All cells without a value in the end."""
        return self.kinds["missing"] + self.unreadable


class Cells:
    """Cleans one column; holds nothing that changes, so batches may be cleaned side by side.

    Args:
        column: what it should be.
        source: how numbers are written, and the texts that mean missing.
        target: given for the target of a classification, whose values become class indices (Int32).
    """

    def __init__(self, column: Column, source: Source, target: Target | None = None) -> None:
        self.column = column
        self.source = source
        self.nulls = sorted({text.strip().casefold() for text in source.null_values} | {""})
        self.classes = [label_key(value) for value in target.classes] if target else []
        self.kind = "class" if target else column.type
        self.words = self._words(target.classes if target else ())
        self.dtype = _dtype(column, self.kind)
        self.open = self.kind == "category" and (column.unknown == "other" or column.role != "feature")

    def _words(self, classes: tuple[Value, ...]) -> dict[str, str | bool]:
        """Known texts, folded, and what each stands for."""
        column = self.column
        yes = {text.casefold(): True for text in column.true} | {text.casefold(): False for text in column.false}
        if self.kind == "boolean":
            return dict(yes)
        if self.kind == "category":
            return _unambiguous(column.categories)
        words: dict[str, str | bool] = dict(_unambiguous(tuple(map(label_key, classes))))
        if any(isinstance(value, bool) for value in classes):
            words |= {text: label_key(value) for text, value in yes.items()}
        return words

    def clean(self, raw: pl.Series, offset: int = 0) -> tuple[pl.Series, Counts]:
        """The typed column of a batch that begins at row ``offset`` (from 0), and what was found in it."""
        counts = Counts(rows=len(raw))
        raw = _plain(raw, self.kind)
        values = self.quick(raw)
        rest = (values.is_null() & raw.is_not_null()).arg_true()
        counts.kinds["missing"] = raw.null_count()
        if len(rest):
            texts = raw.gather(rest)
            if texts.dtype != pl.String:
                texts = texts.cast(pl.String)
            distinct = texts.value_counts(name="count", sort=False)
            found = self.close(distinct[raw.name])
            table = distinct.with_columns(found)
            for kind, count in table.group_by("kind").agg(pl.col("count").sum()).iter_rows():
                if kind is not None:
                    counts.kinds[kind] += count
            bad = table.filter(pl.col("kind").is_in(["unreadable", "outside"]))[raw.name]
            if len(bad):
                place = int(texts.is_in(bad.implode()).arg_max() or 0)
                counts.first = (offset + int(rest[place]), str(texts[place]))
            good = table.filter(pl.col("value").is_not_null())
            if good.height:
                found_again = texts.to_frame().join(good, on=raw.name, how="left", maintain_order="left")["value"]
                values = values.scatter(rest, found_again)
        return values.rename(self.column.name), counts

    def quick(self, raw: pl.Series) -> pl.Series:
        """Values of the cells that need no care; null for the rest."""
        column = self.column
        if self.kind == "class":
            codes = raw.cast(pl.String).cast(pl.Enum(self.classes), strict=False).to_physical()
            return codes.cast(pl.Int32)
        if raw.dtype == self.dtype and self.kind != "category":
            return self.inside(raw)
        if self.kind in ("number", "integer"):
            if raw.dtype == pl.String and self.source.decimal != ".":
                return nulls(self.dtype, len(raw)).rename(raw.name)
            return self.inside(raw.cast(self.dtype, strict=False))
        if self.kind == "boolean":
            known = dict.fromkeys(("true", "false", "True", "False", *column.true, *column.false))
            known = {text: self.words[text.casefold()] for text in known if text.casefold() in self.words}
            return raw.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.Boolean)
        if self.kind == "date":
            if raw.dtype != pl.String:
                return self.inside(raw.cast(self.dtype, strict=False))
            return self.inside(parse_date(raw, column.format or DATES[0], self.dtype))
        return raw.zip_with(raw.is_in(column.categories), nulls(pl.String(), len(raw)))

    def inside(self, values: pl.Series) -> pl.Series:
        """Without what lies outside min … max, or is not finite."""
        column, name = self.column, values.name
        keep = None
        if values.dtype == pl.Float64:
            keep = values.is_finite()
        for bound, side in ((column.min, pl.Series.ge), (column.max, pl.Series.le)):
            if bound is not None:
                at = datetime.fromisoformat(bound) if isinstance(bound, str) else bound
                inside = side(values, pl.Series([at]).cast(values.dtype) if isinstance(at, datetime) else at)
                keep = inside if keep is None else keep & inside
        if keep is None or keep.all():
            return values
        frame = pl.DataFrame({"v": values, "k": keep})
        return frame.select(pl.when("k").then("v").alias(name)).to_series()

    def close(self, texts: pl.Series) -> list[pl.Series]:
        """Distinct texts, looked at closely: the columns ``value`` (null where it has none) and ``kind``."""
        bare = texts.str.strip_chars()
        folded = bare.str.to_lowercase()
        missing = folded.is_in(self.nulls)
        values, other = self.read(bare, folded)
        seen = values if self.kind in ("boolean", "category", "class") else self.inside(values)
        trimmed = bare != texts
        frame = pl.DataFrame(
            {"missing": missing, "value": seen, "read": values.is_not_null(), "trimmed": trimmed, "other": other}
        )
        kind = (
            pl.when("missing").then(pl.lit("missing"))
            .when(~pl.col("read")).then(pl.lit("unreadable"))
            .when(pl.col("value").is_null()).then(pl.lit("outside"))
            .when(pl.col("other") != "").then(pl.col("other"))
            .when("trimmed").then(pl.lit("trimmed"))
        )  # fmt: skip
        return frame.select(pl.when(~pl.col("missing")).then("value").alias("value"), kind.alias("kind")).get_columns()

    def read(self, bare: pl.Series, folded: pl.Series) -> tuple[pl.Series, pl.Series]:
        """The value of each trimmed text, before its range is looked at, and how it was written ("" for as usual)."""
        nothing = pl.Series([""]).new_from_index(0, len(bare))
        if self.kind in ("boolean", "category", "class"):
            dtype = pl.Boolean() if self.kind == "boolean" else pl.String()
            known = pl.Series(list(self.words), dtype=pl.String), pl.Series(list(self.words.values()), dtype=dtype)
            values = folded.replace_strict(*known, default=None, return_dtype=dtype)
            if self.kind == "boolean":
                return values, nothing
            exact = bare.is_in(self.classes if self.kind == "class" else list(self.column.categories))
            values = bare.zip_with(exact, values)
            if self.kind == "class":
                values = values.zip_with(values.is_not_null(), self.numeric_class(bare))
                index = values.cast(pl.Enum(self.classes), strict=False).to_physical().cast(pl.Int32)
                return index, _text(values.ne_missing(bare), "case")
            if self.open:
                values = values.zip_with(values.is_not_null(), bare)
            return values, _text(values.ne_missing(bare), "case")
        if self.kind == "date":
            forms = (self.column.format, *DATES, *TIMES) if self.column.format else (*DATES, *TIMES)
            values = nulls(self.dtype, len(bare))
            for form in forms:
                values = values.zip_with(values.is_not_null(), parse_date(bare, form, self.dtype))
            first = parse_date(bare, forms[0], self.dtype)
            return values, _text(first.is_null(), "other form")
        plain = plain_number(bare, self.source.decimal, self.source.thousands)
        numbers = plain.cast(pl.Float64, strict=False)
        finite = numbers.is_finite()
        numbers = numbers.zip_with(finite, nulls(pl.Float64(), len(bare)))
        mark = _text(plain.ne_missing(bare), "number mark")
        if self.kind == "number":
            return numbers, mark
        whole = numbers.zip_with(numbers == numbers.round(), nulls(pl.Float64(), len(bare)))
        exact_int = plain.cast(pl.Int64, strict=False)
        return exact_int.zip_with(exact_int.is_not_null(), whole.cast(pl.Int64, strict=False)), mark

    def numeric_class(self, bare: pl.Series) -> pl.Series:
        """Classes that are numbers, for texts such as "1.0" or "01"."""
        by_value: dict[float, str] = {}
        for text in self.classes:
            try:
                by_value[float(text)] = text
            except ValueError:
                continue
        numbers = plain_number(bare, self.source.decimal, self.source.thousands).cast(pl.Float64, strict=False)
        return pl.Series([by_value.get(number) if number is not None else None for number in numbers], dtype=pl.String)


def _dtype(column: Column, kind: str) -> pl.DataType:
    if kind == "date":
        return pl.Datetime("ms") if column.has_time else pl.Date()
    kinds: dict[str, pl.DataType] = {
        "class": pl.Int32(),
        "number": pl.Float64(),
        "integer": pl.Int64(),
        "boolean": pl.Boolean(),
        "category": pl.String(),
    }
    return kinds[kind]


def _unambiguous(texts: tuple[str, ...]) -> dict[str, str | bool]:
    """Folded text → text, where only one folds to it."""
    folded = [text.strip().casefold() for text in texts]
    return {fold: text for fold, text in zip(folded, texts, strict=True) if folded.count(fold) == 1}


def _plain(raw: pl.Series, kind: str) -> pl.Series:
    """A column of any Parquet type as text, or as it is where that says more."""
    if raw.dtype == pl.String:
        return raw
    number = raw.dtype.is_numeric() and kind in ("number", "integer")
    if number or (raw.dtype == pl.Boolean and kind == "boolean"):
        if raw.dtype.is_float():
            return raw.fill_nan(None) if kind == "number" else _whole(raw.fill_nan(None))
        return raw
    if isinstance(raw.dtype, pl.Datetime):
        if raw.dtype.time_zone:
            raw = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return raw.cast(pl.Datetime("ms")) if kind == "date" else raw.cast(pl.String)
    if raw.dtype == pl.Date and kind == "date":
        return raw
    if raw.dtype.is_float():
        return _whole(raw.fill_nan(None))
    return raw.cast(pl.String)


def _whole(raw: pl.Series) -> pl.Series:
    """Floats as text, whole ones without a point: 1.0 is the category "1"."""
    whole = raw.cast(pl.Int64, strict=False).cast(pl.String)
    return whole.zip_with((raw == raw.round()).fill_null(False), raw.cast(pl.String))


def _text(where: pl.Series, text: str) -> pl.Series:
    """``text`` where true, else ""."""
    return pl.Series(np.where(where.fill_null(False).to_numpy(), text, ""))

"""Convert one column's cells from text to the type in the spec. `clean_data` calls this batch by batch.

Most cells are well-formed, so every type has a fast path that parses them (5 to 30 ns per cell) and leaves the others
null. Of those, only the distinct texts are parsed with more care, and the results are put back.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from pantheon.workflow.data.date_forms import DATES, TIMES, parse_date
from pantheon.workflow.data.number_forms import LIMIT, Written, nulls, read_integers, read_numbers, written
from pantheon.workflow.data.spec import Column, Source, Target, Value, label_key

FLOAT32_MAX = 3.4028234663852886e38
KINDS = ("missing", "trimmed", "case", "number mark", "limit", "other form", "unlisted", "unreadable", "outside")
"""Kinds of cells that need cleaning; the last two are unreadable in the sense of the spec, and become missing."""
NEW = 1000
"""Distinct unlisted categories that are counted one by one."""


@dataclass
class Counts:
    """Number of cells of every kind in a column.

    Attributes:
        words: how often every text that means missing occurs; the other missing cells are blank.
        first: the first unreadable cell: (row, text).
        unlisted: cells by category, of categories that the spec does not list: the first ``NEW`` of them.
        unread: cells by text, of texts that cannot be parsed: the first ``NEW`` of them.
    """

    rows: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    words: dict[str, int] = field(default_factory=dict)
    first: tuple[int, str] | None = None
    unlisted: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        self.rows += other.rows
        for kind, count in other.kinds.items():
            self.kinds[kind] += count
        for word, count in other.words.items():
            self.words[word] = self.words.get(word, 0) + count
        self.first = self.first or other.first
        for mine, theirs in ((self.unlisted, other.unlisted), (self.unread, other.unread)):
            for text, count in theirs.items():
                if text in mine or len(mine) < NEW:
                    mine[text] = mine.get(text, 0) + count

    @property
    def unreadable(self) -> int:
        return self.kinds["unreadable"] + self.kinds["outside"]

    @property
    def missing(self) -> int:
        """Cells without a value after cleaning."""
        return self.kinds["missing"] + self.unreadable


class Cells:
    """Clean one column. It has no mutable state, so batches may be cleaned in parallel.

    Args:
        column: the column's spec.
        source: the number format, and the texts that mean missing.
        target: for the target of a classification, whose values become class indices (Int32).
    """

    def __init__(self, column: Column, source: Source, target: Target | None = None) -> None:
        self.column = column
        self.source = source
        words = {text.strip().lower() for text in (*source.null_values, *column.null_values)}
        self.nulls = sorted(words | {""})
        self.how = written(column, source)
        self.classes = [label_key(value) for value in target.classes] if target else []
        self.kind = "class" if target else column.type
        self.values_by_text = self._values_by_text(target.classes if target else ())
        self.dtype = _dtype(column, self.kind)
        self.open = self.kind == "category" and (column.unknown != "refuse" or column.role != "feature")
        self.listed = bool(column.categories) and column.role == "feature"
        codes = pl.Series(column.null_values, dtype=pl.String)
        self.codes = read_numbers(codes, self.how)[0].drop_nulls() if self.kind in ("number", "integer") else codes

    def _values_by_text(self, classes: tuple[Value, ...]) -> dict[str, str | bool]:
        """Return the value of every valid text, case-folded."""
        column = self.column
        yes = {text.lower(): True for text in column.true} | {text.lower(): False for text in column.false}
        if self.kind == "boolean":
            return dict(yes)
        if self.kind == "category":
            return _unambiguous(column.categories)
        values: dict[str, str | bool] = dict(_unambiguous(tuple(map(label_key, classes))))
        if any(isinstance(value, bool) for value in classes):
            values |= {text: label_key(value) for text, value in yes.items()}
        return values

    def clean(self, raw: pl.Series, offset: int = 0) -> tuple[pl.Series, Counts]:
        """Return the typed column of a batch that begins at row ``offset`` (from 0), and the counts of its cells."""
        counts = Counts(rows=len(raw))
        raw = _plain(raw, self.kind).rename(" cell")  # not the name of any column of the tables below
        values = self.quick(raw)
        rest = (values.is_null() & raw.is_not_null()).arg_true()
        counts.kinds["missing"] = raw.null_count()
        if len(rest):
            texts = raw.gather(rest)
            how = self.how
            if texts.dtype != pl.String:
                texts, how = texts.cast(pl.String), Written()
            distinct = texts.value_counts(name="count", sort=False)
            table = distinct.with_columns(self.close(distinct[raw.name], how))
            for kind, count in table.group_by("kind").agg(pl.col("count").sum()).iter_rows():
                if kind is not None:
                    counts.kinds[kind] += count
            new = table.filter(pl.col("kind") == "unlisted").group_by("value").agg(pl.col("count").sum())
            counts.unlisted = dict(new.sort("count", "value", descending=[True, False]).head(NEW).iter_rows())
            unread = table.filter(pl.col("kind") == "unreadable").select(raw.name, "count")
            counts.unread = dict(unread.sort("count", raw.name, descending=[True, False]).head(NEW).iter_rows())
            for text, count in table.filter(pl.col("kind") == "missing").select(raw.name, "count").iter_rows():
                if text.strip():
                    counts.words[text.strip()] = counts.words.get(text.strip(), 0) + count
            bad = table.filter(pl.col("kind").is_in(["unreadable", "outside"]))[raw.name]
            if len(bad):
                place = int(texts.is_in(bad.implode()).arg_max() or 0)
                counts.first = (offset + int(rest[place]), str(texts[place]))
            good = table.filter(pl.col("value").is_not_null())
            if good.height:
                parsed = texts.to_frame().join(good, on=raw.name, how="left", maintain_order="left")["value"]
                values = values.scatter(rest, parsed)
        return values.rename(self.column.name), counts

    def quick(self, raw: pl.Series) -> pl.Series:
        """Parse the well-formed cells; null for the rest."""
        column = self.column
        if self.kind == "class":
            codes = raw.cast(pl.String).cast(pl.Enum(self.classes), strict=False).to_physical()
            return codes.cast(pl.Int32)
        if raw.dtype == self.dtype and self.kind != "category":
            return self.inside(raw)
        if self.kind in ("number", "integer"):
            if raw.dtype == pl.String and self.how.decimal != ".":
                return self.inside(with_comma(raw, self.dtype))
            return self.inside(raw.cast(self.dtype, strict=False))
        if self.kind == "boolean":
            table = self.values_by_text
            texts = dict.fromkeys(("true", "false", "True", "False", *column.true, *column.false))
            booleans = {text: table[text.lower()] for text in texts if text.lower() in table}
            return raw.replace_strict(list(booleans), list(booleans.values()), default=None, return_dtype=pl.Boolean)
        if self.kind == "date":
            if raw.dtype != pl.String:
                return self.inside(raw.cast(self.dtype, strict=False))
            return self.inside(parse_date(raw, column.format or DATES[0], self.dtype))
        return raw.zip_with(raw.is_in(column.categories), nulls(pl.String(), len(raw)))

    def inside(self, values: pl.Series) -> pl.Series:
        """Make values null that are outside min … max, not finite, too large for a model, or that mean missing."""
        column, name = self.column, values.name
        keep = None
        if values.dtype == pl.Float64:
            keep = values.abs() <= FLOAT32_MAX if column.role == "feature" else values.is_finite()
        if len(self.codes) and values.dtype.is_numeric():
            known = ~values.is_in(self.codes.cast(values.dtype, strict=False).drop_nulls().implode())
            keep = known if keep is None else keep & known
        for bound, side in ((column.min, pl.Series.ge), (column.max, pl.Series.le)):
            if bound is not None:
                at = datetime.fromisoformat(bound) if isinstance(bound, str) else bound
                inside = side(values, pl.Series([at]).cast(values.dtype) if isinstance(at, datetime) else at)
                keep = inside if keep is None else keep & inside
        if keep is None or keep.all():
            return values
        frame = pl.DataFrame({"v": values, "k": keep})
        return frame.select(pl.when("k").then("v").alias(name)).to_series()

    def close(self, texts: pl.Series, how: Written) -> list[pl.Series]:
        """Parse distinct texts with care: the columns ``value`` (null for none) and ``kind``."""
        bare = texts.str.strip_chars()
        folded = bare.str.to_lowercase()
        listed = self.kind in ("boolean", "category", "class")
        values, other = self.choose(bare, folded, how) if listed else self.read(bare, how)
        missing = folded.is_in(self.nulls)
        if listed:  # a listed word is a value, even if it usually means missing
            missing &= values.is_null()
        elif len(self.codes) and values.dtype.is_numeric():
            missing |= values.cast(pl.Float64).is_in(self.codes.implode()).fill_null(False)
        if self.open:
            unlisted = values.is_null() & ~missing
            values = values.zip_with(~unlisted, bare)
            other = _text(unlisted, "unlisted" if self.listed else "", other)
        seen = values if listed else self.inside(values)
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

    def choose(self, bare: pl.Series, folded: pl.Series, how: Written) -> tuple[pl.Series, pl.Series]:
        """Return the listed value of every trimmed text, and "case" where it is spelt differently, else ""."""
        dtype = pl.Boolean() if self.kind == "boolean" else pl.String()
        table = self.values_by_text
        pairs = pl.Series(list(table), dtype=pl.String), pl.Series(list(table.values()), dtype=dtype)
        values = folded.replace_strict(*pairs, default=None, return_dtype=dtype)
        if self.kind == "boolean":
            return values, _text(nulls(pl.Boolean(), len(bare)), "")
        exact = bare.is_in(self.classes if self.kind == "class" else list(self.column.categories))
        values = bare.zip_with(exact, values)
        if self.kind == "class":
            values = values.zip_with(values.is_not_null(), self.numeric_class(bare, how))
            index = values.cast(pl.Enum(self.classes), strict=False).to_physical().cast(pl.Int32)
            return index, _text(values.ne_missing(bare), "case")
        return values, _text(values.ne_missing(bare) & values.is_not_null(), "case")

    def read(self, bare: pl.Series, how: Written) -> tuple[pl.Series, pl.Series]:
        """Return the value of every trimmed text, before the range check, and its kind ("" for a well-formed text)."""
        if self.kind == "date":
            forms = [form for form in (self.column.format, *self.column.formats, *DATES, *TIMES) if form]
            values = nulls(self.dtype, len(bare))
            for form in forms:
                values = values.zip_with(values.is_not_null(), parse_date(bare, form, self.dtype))
            first = parse_date(bare, forms[0], self.dtype)
            return values, _text(first.is_null(), "other form")
        numbers, plain = read_numbers(bare, how)
        mark = _text(plain.ne_missing(bare), "number mark")
        if "limits" in how.forms:
            mark = _text(bare.str.contains(rf"^\(?({LIMIT})|\+$"), "limit", mark)
        return (numbers if self.kind == "number" else read_integers(bare, how)), mark

    def numeric_class(self, bare: pl.Series, how: Written) -> pl.Series:
        """Return classes that are numbers, for texts such as "1.0" or "01"."""
        by_value: dict[float, str] = {}
        for text in self.classes:
            try:
                by_value[float(text)] = text
            except ValueError:
                continue
        numbers, _ = read_numbers(bare, how)
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
    """Return case-folded text → text, without texts that differ only in case."""
    folded = [text.strip().lower() for text in texts]
    return {fold: text for fold, text in zip(folded, texts, strict=True) if folded.count(fold) == 1}


def _plain(raw: pl.Series, kind: str) -> pl.Series:
    """Return a column of any Parquet type as text, or unchanged if it has the type of the spec already."""
    if raw.dtype == pl.String:
        return raw
    number = raw.dtype.is_numeric() and kind in ("number", "integer")
    if number or (raw.dtype == pl.Boolean and kind == "boolean"):
        if raw.dtype.is_float():
            return raw.fill_nan(None) if kind == "number" else _integers_as_text(raw.fill_nan(None))
        return raw
    if isinstance(raw.dtype, pl.Datetime):
        if raw.dtype.time_zone:
            raw = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return raw.cast(pl.Datetime("ms")) if kind == "date" else raw.cast(pl.String)
    if raw.dtype == pl.Date and kind == "date":
        return raw
    if raw.dtype.is_float():
        return _integers_as_text(raw.fill_nan(None))
    return raw.cast(pl.String)


def _integers_as_text(raw: pl.Series) -> pl.Series:
    """Return floats as text, integers without a decimal point: 1.0 is the category "1"."""
    integers = raw.cast(pl.Int64, strict=False).cast(pl.String)
    return integers.zip_with((raw == raw.round()).fill_null(False), raw.cast(pl.String))


def _text(where: pl.Series, text: str, rest: pl.Series | None = None) -> pl.Series:
    """Return ``text`` where true, else the ``rest``, or ""."""
    return pl.Series(np.where(where.fill_null(False).to_numpy(), text, "" if rest is None else rest.to_numpy()))


def with_comma(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Parse well-formed numbers with a decimal comma; null for the rest."""
    values = texts.str.replace(",", ".", literal=True).cast(dtype, strict=False)
    return values.zip_with(~texts.str.contains(".", literal=True).fill_null(False), nulls(dtype, len(texts)))


def usable(dtype: pl.DataType) -> bool:
    """Whether cells of this type can be numbers, booleans, dates or texts."""
    return not (dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time))

"""The rows of the log as typed columns: from the JSON text of each row, by the model's signature.

The endpoint has accepted these rows, so that the rules here may be simpler than its own: a text that is read neither as
a value nor as missing is left out, and counts nowhere.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

CONTEXT = "context"  # what was sent along: columns that the model never sees
_SAMPLE = 2_000  # rows in which names of such columns are looked for
_TRUE, _FALSE = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")
_BLANKS = " \t\r\n\u00a0"
_DATES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
Entry = dict[str, Any]  # of ``inputs`` of a signature


class Inputs:
    """Decodes rows.

    Args:
        signature: the content of ``signature.json``.
    """

    def __init__(self, signature: dict[str, Any]) -> None:
        self.entries: list[Entry] = signature["inputs"]
        self.names = [entry["name"] for entry in self.entries]
        self._text = signature.get("text") or {}

    def decode(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return a table with a column per input, and one per column that was sent along.

        Args:
            rows: with the JSON objects in ``input``.

        Returns:
            Columns ``in:NAME``, Float64, or String for categories and booleans (``true``, ``false``); null is missing.
            ``new:NAME`` for categories: the text, where the model does not know it. ``along:NAME``, String.
        """
        along = [] if CONTEXT in self.names else names_along(rows["input"])
        texts = _texts(rows, self.names, along)
        typed = [each for entry in self.entries for each in self._typed(entry)]
        others = [_nested(name).alias(f"along:{name}") for name in along]
        return texts.select(*typed, *others)

    def _typed(self, entry: Entry) -> list[pl.Expr]:
        name, kind = entry["name"], entry["type"]
        own = self._text | (entry.get("text") or {})
        both = (self._text, entry.get("text") or {})
        missing = ["", *(_fold(text) for part in both for text in part.get("missing", ()))]
        bare = pl.col(name).str.strip_chars(_BLANKS)
        folded = bare.str.to_lowercase()
        present = pl.when(~folded.is_in(missing)).then(bare)
        if kind == "category":
            known = [str(each) for each in entry["categories"]]
            spelt = {_fold(each): each for each in known}
            value = pl.coalesce(_mapped(bare, dict(zip(known, known, strict=True))), _mapped(folded, spelt))
            return [value.alias(f"in:{name}"), pl.when(value.is_null()).then(present).alias(f"new:{name}")]
        if kind == "boolean":
            words = dict.fromkeys(map(_fold, own.get("true", _TRUE)), "true")
            words |= dict.fromkeys(map(_fold, own.get("false", _FALSE)), "false")
            value = _mapped(folded, {"true": "true", "false": "false"} | words)
        elif kind == "date":
            formats = [*own.get("formats", ()), *_DATES]
            moments = [present.str.to_datetime(each, time_unit="ms", strict=False) for each in _known(formats)]
            value = pl.coalesce(moments).cast(pl.Int64) / 86_400_000
        else:
            value = _number(present, own)
            codes = [number for text in missing if (number := _plain(text)) is not None]
            value = pl.when(~value.is_in(codes)).then(value) if codes else value
        return [value.alias(f"in:{name}")]


def names_along(rows: pl.Series) -> list[str]:
    """Return the names of the columns that were sent along, as far as a sample of the rows has them."""
    found: dict[str, None] = {}
    for text in rows.filter(rows.str.contains(f'"{CONTEXT}"', literal=True)).head(_SAMPLE):
        try:
            given = msgspec.json.decode(text).get(CONTEXT)
        except (msgspec.DecodeError, AttributeError):
            continue
        if isinstance(given, dict):
            found |= dict.fromkeys(given)
    return sorted(found)


def _texts(rows: pl.DataFrame, names: Sequence[str], along: Sequence[str]) -> pl.DataFrame:
    """Return the values of the JSON objects as texts."""
    fields: dict[str, Any] = dict.fromkeys(names, pl.String)
    nested = {CONTEXT: pl.Struct(dict.fromkeys(along, pl.String))} if along else {}
    try:
        return rows.select(pl.col("input").str.json_decode(pl.Struct(fields | nested))).unnest("input")
    except pl.exceptions.ComputeError:  # a value is not a plain one: one after another, which is slower
        paths = [pl.col("input").str.json_path_match(f"$[{_quoted(name)}]").alias(name) for name in names]
        inside = [
            pl.col("input").str.json_path_match(f"$[{_quoted(CONTEXT)}][{_quoted(name)}]").alias(name) for name in along
        ]
        found = rows.select(*paths, *([pl.struct(inside).alias(CONTEXT)] if along else []))
        return found


def _nested(name: str) -> pl.Expr:
    return pl.col(CONTEXT).struct.field(name)


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _mapped(value: pl.Expr, words: dict[str, str]) -> pl.Expr:
    return value.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.String)


def _number(present: pl.Expr, own: dict[str, Any]) -> pl.Expr:
    plain = present.cast(pl.Float64, strict=False)
    decimal, thousands = own.get("decimal", "."), own.get("thousands", "")
    if decimal == "." and not thousands and not own.get("units"):
        return plain
    bare = present
    for unit in sorted(own.get("units", {}), key=len, reverse=True):
        bare = bare.str.replace(unit, "", literal=True)
    if thousands:
        bare = bare.str.replace_all(thousands, "", literal=True)
    bare = bare.str.replace(decimal, ".", literal=True).str.strip_chars(_BLANKS)
    return pl.coalesce(plain, bare.cast(pl.Float64, strict=False))  # programs send numbers, so 1.234 is a bit above 1


def _known(formats: Sequence[str]) -> list[str]:
    """Return the formats that polars reads."""
    known = []
    for each in dict.fromkeys(formats):
        try:
            pl.select(pl.lit("x").str.to_datetime(each, time_unit="ms", strict=False))
        except pl.exceptions.PolarsError:
            continue
        known.append(each)
    return known


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _fold(text: str) -> str:
    return text.strip(_BLANKS).lower()

"""Numbers and dates as people write them."""

from datetime import date

import polars as pl

DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
TIMES = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
)
CLOCK = ("%H", "%I", "%T", "%R", "%+")
YEAR_1000 = date(1000, 1, 1)
SPACES = "[ \u00a0\u202f\u2009]"


def parse_date(texts: pl.Series, form: str, dtype: pl.DataType) -> pl.Series:
    """Texts in one format as dates; in UTC where they name a zone. A year of one to three digits is none."""
    if any(code in form for code in CLOCK):
        times = texts.str.to_datetime(form, time_unit="ms", strict=False, exact=True)
        if times.dtype != pl.Datetime("ms"):
            times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        values = times.cast(dtype)
    else:
        values = texts.str.to_date(form, strict=False, exact=True).cast(dtype)
    early = values < pl.Series([YEAR_1000]).cast(dtype)
    return values.zip_with(~early, nulls(dtype, len(values))) if early.any() else values


def plain_number(texts: pl.Series, decimal: str, thousands: str) -> pl.Series:
    """Numbers as Python writes them: no marks between thousands, a point. Null where such a mark stands elsewhere."""
    plain = texts
    if thousands:
        mark = SPACES if thousands.isspace() else "[.]" if thousands == "." else thousands.replace("'", "['\u2019]")
        has_mark = plain.str.contains(mark)
        grouped = plain.str.contains(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+([{decimal}]\d*)?$")
        none = nulls(pl.String(), len(plain))
        plain = plain.zip_with(grouped | ~has_mark, none)
        plain = plain.str.replace_all(mark, "")
    if decimal == ",":
        plain = plain.zip_with(~plain.str.contains(".", literal=True), nulls(pl.String(), len(plain)))
        plain = plain.str.replace(",", ".", literal=True)
    return plain


def nulls(dtype: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, length)


def usable(dtype: pl.DataType) -> bool:
    """Can cells of this type be numbers, booleans, dates or texts?"""
    return not (dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time))

"""Parse dates and times in given formats."""

from datetime import date

import polars as pl

from pantheon.workflow.data.number_forms import nulls

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
"""ISO forms, which every column of dates accepts."""
CLOCK = ("%H", "%I", "%T", "%R", "%+")
DAY = ("%d", "%e", "%j", "%D", "%F", "%x", "%v", "%u", "%a", "%A", "%s")
YEAR_1000 = date(1000, 1, 1)


def parse_date(texts: pl.Series, form: str, dtype: pl.DataType) -> pl.Series:
    """Parse texts in one format as dates, converted to UTC if they name a zone. Years before 1000 are not parsed.

    A format without a day, such as ``%b-%Y``, gives the first day of the month.
    """
    # Polars reads any character as the second digit of %y ("1.2.2x"), but leaves %-y to chrono.
    form = form.replace("%D", "%m/%d/%y").replace("%y", "%-y")
    if any(code in form for code in CLOCK):
        times = texts.str.to_datetime(form, time_unit="ms", strict=False, exact=True)
        if times.dtype != pl.Datetime("ms"):
            times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        values = times.cast(dtype)
    else:
        if not any(code in form for code in DAY):
            texts, form = texts + " 1", form + " %d"
        values = texts.str.to_date(form, strict=False, exact=True).cast(dtype)
    early = values < pl.Series([YEAR_1000]).cast(dtype)
    return values.zip_with(~early, nulls(dtype, len(values))) if early.any() else values

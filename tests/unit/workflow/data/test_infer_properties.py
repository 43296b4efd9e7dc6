"""Any table in any CSV dialect is read with its types and values."""

import csv
import io
import tempfile
from datetime import date
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec_file import dump_spec, parse_spec
from pantheon.workflow.run import Params, Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data

WORDS = ["Zürich", "a b", "semi;colon", 'quo"te', "com,ma", "new\nline", "tab\tbed", "naïve", "x|y", "50 km"]
MISSING = ["", "NA", "n/a", "?", "null", " "]
ROWS = 60

Value = int | float | bool | str | date | None


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, list[Value]]:
    """A kind, and values of that kind that leave no doubt about it."""
    kind = draw(st.sampled_from(["integer", "number", "boolean", "category", "date"]))
    pool: list[Value]
    if kind == "integer":
        pool = [*draw(st.lists(st.integers(-(10**9), 10**9), min_size=3, max_size=9, unique=True))]
    elif kind == "number":
        numbers = st.integers(-(10**9), 10**9).filter(lambda n: n % 100).map(lambda n: n / 100)
        pool = [*draw(st.lists(numbers, min_size=3, max_size=9, unique=True))]
    elif kind == "boolean":
        pool = [True, False]
    elif kind == "category":
        pool = [*draw(st.lists(st.sampled_from(WORDS), min_size=3, max_size=6, unique=True))]
    else:
        days = st.dates(date(1990, 1, 1), date(2030, 12, 31)).filter(lambda day: day.day > 12)
        pool = [*draw(st.lists(days, min_size=3, max_size=9, unique=True))]
    if draw(st.booleans()):
        pool.append(None)
    start = draw(st.integers(1, 7))
    return kind, [pool[(start * n + n * n) % len(pool)] for n in range(ROWS)]


def written(value: Value, missing: str, decimal: str, thousands: str, form: str, yes: tuple[str, str]) -> str:
    if value is None:
        return missing
    if isinstance(value, bool):
        return yes[0] if value else yes[1]
    if isinstance(value, date):
        return value.strftime(form)
    if isinstance(value, int | float):
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
        return text.translate({ord(","): thousands, ord("."): decimal})
    return value


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    table=st.lists(columns(), min_size=1, max_size=4),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    style=st.sampled_from([(".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", "\u00a0")]),
    missing=st.sampled_from(MISSING),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]),
    yes=st.sampled_from([("yes", "no"), ("TRUE", "FALSE"), ("Y", "N"), ("True", "False")]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_written_tables_can_be_read_again(
    table: list[tuple[str, list[Value]]],
    separator: str,
    encoding: str,
    style: tuple[str, str],
    missing: str,
    form: str,
    yes: tuple[str, str],
    ending: str,
) -> None:
    for kind, values in table:
        # Frequent words such as NA are categories of their own: leave no doubt.
        assume(kind not in ("category", "boolean") or missing in ("", " ", "?") or None not in values)
        assume(len({value for value in values if value is not None}) > 1)
    plain = [value for kind, values in table if kind in ("integer", "number") for value in values if value is not None]
    # 1,234 alone may be a thousand or a little more than one: leave no doubt about the style.
    assume(
        style in ((".", ""), (".", " "), (",", "\u00a0")) or any(isinstance(v, float) and abs(v) > 1e6 for v in plain)
    )
    target = ["ab"[n * n // 7 % 2] for n in range(ROWS)]
    lines = [[written(values[n], missing, *style, form, yes) for _, values in table] + [target[n]] for n in range(ROWS)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=ending)
    writer.writerow([f"c{n}" for n in range(len(table))] + ["y"])
    writer.writerows(lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(text.getvalue().encode(encoding))
        spec = infer_spec(path, "y")
        assert parse_spec(dump_spec(spec)) == spec
        run = Run.create(Path(folder) / "state", dump_spec(spec), spec.name, Params())
        load_data(run)
        clean_data(run)
        result = pl.read_parquet(run.path("data/clean.parquet"))
    assert result.height == ROWS
    for n, (kind, values) in enumerate(table):
        column = spec.column(f"c{n}")
        if column.role == "ignore":  # it happened to tell the target
            assert "target" in column.why
            continue
        assert column.type == kind, column.why
        assert result[f"c{n}"].to_list() == values
        assert column.nullable == (None in values)

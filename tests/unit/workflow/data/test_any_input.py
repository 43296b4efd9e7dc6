"""Any file gives a run or a one-line error, never a traceback."""

import csv
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.data.spec_file import dump_spec, parse_spec
from pantheon.workflow.run import Params, Run
from pantheon.workflow.stages.clean_data import clean_data
from pantheon.workflow.stages.load_data import load_data
from pantheon.workflow.stages.split_data import split_data

NUMERIC = ["1", "2", "2.5", "-3", "1,5", "1,234", "1e5", "1e400", "007", "999999999999999999999", "nan"]
MOMENTS = ["2024-01-02", "1/2/2024", "31/12/2023 10:00", "0001-01-01"]
CELLS = st.sampled_from([*NUMERIC, *MOMENTS, "", " ", "NA", "?", "yes", "no", "a", "A", "b ", "é", 'q"q', "l\nm"])
LINES = st.lists(st.lists(CELLS, min_size=2, max_size=3).map(",".join), max_size=40)
TABLES = st.builds(lambda lines, end: "x,y\n" + end.join(lines) + end, LINES, st.sampled_from(["\n", "\r\n"]))


def quoted(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("x", "z", "y"), *rows])
    return text.getvalue()


# A few kinds of cells in a column, so that it is mostly of one type.
POOLS = st.lists(CELLS, min_size=1, max_size=3)
REGULAR = st.tuples(
    POOLS, POOLS, st.lists(st.sampled_from(["0", "1", "2", "", "A", "2.5"]), min_size=2, max_size=3)
).flatmap(lambda pools: st.lists(st.tuples(*map(st.sampled_from, pools)), min_size=12, max_size=80).map(quoted))
CONTENTS = st.one_of(
    TABLES.map(str.encode), REGULAR.map(str.encode), st.binary(max_size=200), st.text(max_size=200).map(str.encode)
)


def attempt(path: Path, target: str) -> None:
    """Run all data stages; a PantheonError must be one line with a remedy."""
    try:
        spec = infer_spec(path, target)
        assert parse_spec(dump_spec(spec)) == spec
        run = Run.create(path.parent / "state", dump_spec(spec), spec.name, Params(folds=2))
        load_data(run)
        clean_data(run)
        split_data(run)
    except PantheonError as error:
        assert error.status == 2
        assert error.cause.strip() and "\n" not in str(error)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(CONTENTS, st.sampled_from([".csv", ".txt", ".parquet", ".xlsx"]))
def test_any_input_gives_a_run_or_a_one_line_error(content: bytes, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{ending if not content.startswith(b'x,') else '.csv'}"
        path.write_bytes(content)
        attempt(path, "y")


CODES = pl.Enum(["0", "1", "2", "3"])
NUMBERS = [pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2), pl.Boolean]
TIMES = [pl.Date, pl.Datetime("ns", "UTC"), pl.Time, pl.Duration("ms")]
OTHERS = [pl.String, pl.Categorical, CODES, pl.Null, pl.Binary, pl.List(pl.Int64), pl.Struct({"a": pl.Int64})]


@pytest.mark.parametrize("dtype", [*NUMBERS, *TIMES, *OTHERS])
def test_any_type_of_a_parquet_file(tmp_path: Path, dtype: pl.DataType) -> None:
    numbers = pl.Series([n * 7 % 4 for n in range(60)])
    if dtype == pl.Binary:
        odd = pl.Series([b"\xff"] * 60)
    elif dtype == pl.Struct({"a": pl.Int64}):
        odd = pl.DataFrame({"a": numbers}).to_struct()
    elif dtype == pl.List(pl.Int64):
        odd = numbers.reshape((60, 1)).cast(pl.List(pl.Int64))
    elif dtype in (pl.Categorical, CODES):
        odd = numbers.cast(pl.String).cast(dtype)
    elif dtype == pl.Null:
        odd = pl.Series([None] * 60)
    else:
        odd = numbers.cast(dtype)
    path = tmp_path / "table.parquet"
    table = pl.DataFrame({"odd": odd, "x": [n * 5 % 7 for n in range(60)], "y": [n // 2 % 2 for n in range(60)]})
    table.write_parquet(path)
    spec = infer_spec(path, "y")
    assert spec.column("x").role == "feature"
    run = Run.create(tmp_path / "state", dump_spec(spec), spec.name, Params())
    load_data(run)
    assert clean_data(run)["rows_out"] == 60
    attempt(path, "odd")


def test_a_spec_with_a_column_of_an_unsupported_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame({"bag": [[1]] * 60, "x": [n * 5 % 7 for n in range(60)], "y": [0, 1] * 30}).write_parquet(path)
    text = dump_spec(infer_spec(path, "y")).replace('role = "ignore"', 'role = "feature"\ncategories = ["a"]')
    run = Run.create(tmp_path / "state", text, "t", Params())
    load_data(run)
    with pytest.raises(PantheonError, match="column 'bag' is List"):
        clean_data(run)

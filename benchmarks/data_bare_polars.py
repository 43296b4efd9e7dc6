"""The data stages for robots as one would write them by hand in Polars, for this file alone: `data.py` compares.

    python benchmarks/data_bare_polars.py robots.csv FOLDER

Writes the same files as load_data, clean_data and split_data: raw.parquet, clean.parquet, train.parquet, test.parquet,
and prints seconds and the peak of its memory. It knows its columns, counts nothing, checks nothing, reports nothing.
"""

import json
import sys
import time
from pathlib import Path

import polars as pl


def number(name: str, low: float, high: float) -> pl.Expr:
    text = pl.col(name).str.strip_chars().str.replace_all(",", "", literal=True)
    value = text.cast(pl.Float64, strict=False)
    return pl.when(value.is_between(low, high)).then(value).alias(name)


def prepare(source: Path, folder: Path) -> None:
    raw, clean = folder / "raw.parquet", folder / "clean.parquet"
    pl.scan_csv(source, infer_schema=False).sink_parquet(raw, compression="lz4", statistics=False)

    level = pl.col("battery").str.strip_chars().str.to_lowercase()
    table = pl.scan_parquet(raw).select(
        pl.col("robot-id").str.strip_chars().cast(pl.Int64, strict=False),
        pl.col("observed-at").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        number("robot-age", 0, 60),
        number("rust-level", 0, 10),
        pl.when(level.is_in(["high", "low", "medium"])).then(level).alias("battery"),
        pl.col("condition").str.strip_chars().cast(pl.Int32, strict=False),
    )
    table = table.filter(pl.col("condition").is_in([0, 1]), pl.col("robot-id", "robot-age").is_not_null())
    table.sink_parquet(clean, compression="lz4", statistics=False)

    table = pl.scan_parquet(clean)
    test = pl.col("robot-id").hash(42) < int(0.2 * 2**64)
    sinks = [
        table.filter(where).sink_parquet(folder / f"{name}.parquet", compression="lz4", statistics=False, lazy=True)
        for name, where in (("train", ~test), ("test", test))
    ]
    pl.collect_all(sinks, engine="streaming")


def peak_mb() -> float:
    """The most memory this process has held, in MB. Not ru_maxrss: that takes over the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    begin = time.perf_counter()
    prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({"seconds": time.perf_counter() - begin, "peak_mb": peak_mb()}))

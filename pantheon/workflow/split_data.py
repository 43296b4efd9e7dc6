"""split_data: `data/train.parquet` and `data/test.parquet`, with nothing of one entity in both.

A row's part is decided by its entity's hash, so it is the same in every run, whatever the seed: a model of an earlier
run never saw the rows it is compared on. Two ways:

- Up to ``SMALL`` rows: within each class, entities in the order of their hash fill the test part until it has its share
  of rows. A threshold on the hash alone would leave classes of few rows with too many or none there. Rows that are
  appended move the edge a little: an entity close to it may change its part.
- Above: every entity whose hash lies below the share. The proportions are kept by the numbers alone (a class of 10,000
  rows gets its share to within one in a hundred), and appended rows never move others.
"""

import time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.workflow.disk import writing
from pantheon.workflow.hashing import below, hash64, mix
from pantheon.workflow.load_data import sink
from pantheon.workflow.run import Run, write_json
from pantheon.workflow.spec import Spec, label_key

SMALL = 100_000

Mask = NDArray[np.bool_]


def split_data(run: Run) -> dict[str, Any]:
    """Split the clean data, by the spec's entity or time, into two parts. Rows keep their order.

    Writes ``data/train.parquet``, ``data/test.parquet`` and ``reports/split_data.json``: by, column, rows, share …

    Returns:
        train and test rows, for the line of progress.

    Raises:
        PantheonError: there are too few rows, of a class or at all, to split and to cross-validate.
    """
    started = time.perf_counter()
    clean = run.need("data/clean.parquet", "clean_data")
    spec = Spec.read(run.path("spec.toml"))
    params = run.params
    frame = pl.scan_parquet(clean, glob=False)
    keys = [name for name in dict.fromkeys((spec.split.column, spec.target.column)) if name]
    table = frame.select(keys).collect()
    enough(spec, table, params.folds)
    report: dict[str, Any] = {"by": spec.split.by, "column": spec.split.column}
    if spec.split.by == "time":
        test, report["from"] = by_time(spec, table, params.test_share)
    else:
        test = by_hash(spec, table, params.test_share)
    report["rows"] = {"train": int((~test).sum()), "test": int(test.sum())}
    report["share"] = round(float(test.mean()), 6)
    report |= counted(spec, table, test)
    check(spec, report, params.folds)
    with (
        writing(run.folder),
        run.output("data/train.parquet") as train_part,
        run.output("data/test.parquet") as test_part,
    ):
        mask = pl.Series("test", test)
        for part, where in ((train_part, ~mask), (test_part, mask)):
            sink(frame.filter(where), part)
    report["seconds"] = round(time.perf_counter() - started, 3)
    write_json(run.path("reports/split_data.json"), report)
    rows: dict[str, Any] = report["rows"]
    return rows


def by_hash(spec: Spec, table: pl.DataFrame, share: float) -> Mask:
    """Which rows are for the test, by the hash of their entity: of ``split.column``, or the row's own number."""
    entity = table[spec.split.column] if spec.split.column else None
    words = hash64(entity) if entity is not None else mix(np.arange(table.height, dtype=np.uint64))
    if table.height > SMALL:
        return words < below(share)
    rows = pl.DataFrame({"entity": words})
    classes = table[spec.target.column].alias("class") if spec.task == "classification" else pl.lit(0).alias("class")
    rows = rows.with_columns(classes)
    # An entity that was seen in several classes counts for the one it was seen in most, the first of equals.
    entities = (
        rows.group_by("entity", "class").agg(pl.len().alias("n"))
        .sort("entity", "n", "class", descending=[False, True, False])
        .group_by("entity", maintain_order=True).agg(pl.col("class").first(), pl.col("n").sum())
        .with_columns(
            (pl.col("n").cum_sum().over("class", order_by="entity") - pl.col("n") / 2).alias("middle"),
            pl.col("n").sum().over("class").alias("all"),
            pl.col("entity").rank("ordinal").over("class").alias("place"),
            pl.len().over("class").alias("entities"),
        )
    )  # fmt: skip
    # The middle of an entity's rows decides, so the share is met as closely as entities allow; where two are, one.
    chosen = entities.filter(
        ((pl.col("middle") < pl.col("all") * share) | (pl.col("place") == 1)) & (pl.col("place") < pl.col("entities"))
    )
    return rows["entity"].is_in(chosen["entity"].implode()).to_numpy()


def by_time(spec: Spec, table: pl.DataFrame, share: float) -> tuple[Mask, str]:
    """The last ``share`` of the rows by time, and the time they begin at; rows of one time stay together."""
    column = table[spec.split.column]
    times = column.to_physical().to_numpy()
    place = min(len(times) - 1, round(len(times) * (1 - share)))
    cut = np.partition(times, place)[place]
    if cut == times.min():
        later = times[times > cut]
        if not len(later):
            raise PantheonError(
                f"every row has the same {spec.split.column!r}, so none is later.", 'Set split.by = "hash" in the spec.'
            )
        cut = later.min()
    test = times >= cut
    return test, str(column.filter(pl.Series(times == cut))[0])


def enough(spec: Spec, table: pl.DataFrame, folds: int) -> None:
    """Enough rows to split, and to cross-validate what is left.

    Raises:
        PantheonError: says how many are needed, and of what.
    """
    least = 2 * folds + 2
    if table.height < least:
        raise PantheonError(
            f"there are {table.height} rows; a split and {folds} folds need {least}.", "Give more rows, or fewer folds."
        )
    if spec.task != "classification":
        return
    counts = np.bincount(table[spec.target.column].to_numpy(), minlength=len(spec.target.classes))
    for value, count in zip(spec.target.classes, counts, strict=True):
        if count < folds + 1:
            raise few(spec, label_key(value), f"has {count} rows; a split and {folds} folds need {folds + 1}")


def few(spec: Spec, name: str, what: str) -> PantheonError:
    return PantheonError(
        f"class {name!r} of {spec.target.column!r} {what}.",
        "Give more of its rows, or fewer folds, or take it out of classes and raise max_unreadable to its share.",
    )


def counted(spec: Spec, table: pl.DataFrame, test: Mask) -> dict[str, Any]:
    """Rows of each class, and entities, in each part."""
    parts = {"train": table.filter(pl.Series(~test)), "test": table.filter(pl.Series(test))}
    found: dict[str, Any] = {}
    if spec.task == "classification":
        names = [label_key(value) for value in spec.target.classes]
        found["classes"] = {}
        for part, rows in parts.items():
            counts = np.bincount(rows[spec.target.column].to_numpy(), minlength=len(names))
            found["classes"][part] = dict(zip(names, counts.tolist(), strict=True))
    if spec.split.column and spec.split.by == "hash":
        found["entities"] = {part: rows[spec.split.column].n_unique() for part, rows in parts.items()}
    return found


def check(spec: Spec, report: dict[str, Any], folds: int) -> None:
    """Each part can do its work.

    Raises:
        PantheonError: a part is too small, or lacks a class.
    """
    rows = report["rows"]
    if rows["train"] < 2 * folds or rows["test"] < 2:
        entities = report.get("entities", {})
        of = f" of {sum(entities.values())} {spec.split.column!r}" if entities else ""
        raise PantheonError(
            f"the split leaves {rows['train']} rows to train and {rows['test']} to test{of}.",
            "Give more rows, another test_share, or another split in the spec.",
        )
    for part, least in (("train", folds), ("test", 1)):
        for name, count in report.get("classes", {}).get(part, {}).items():
            if count < least:
                raise few(spec, name, f"has {count} rows in the {part} part, which needs {least}")

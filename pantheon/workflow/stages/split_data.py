"""split_data: write `data/train.parquet` and `data/test.parquet`; an entity is never in both, nor a row and its copy.

The hash of its entity assigns a row to a part, so the assignment is the same in every run, whatever the seed: a model
of an earlier run was never trained on the rows it is compared on. Without an entity, it is the hash of the row's
number; of the first one's number if rows are copies. There are two methods:

- Up to ``SMALL`` rows: within every class, entities in the order of their hash fill the test part until it has its
  share of rows. A plain threshold on the hash could give a small class too many test rows, or none. Appended rows move
  the boundary a little: an entity close to it may change its part.
- Above: every entity whose hash is below the share. With this many rows the proportions are close anyway (a class of
  10,000 rows gets its share to within 1 %), and appended rows never move others.

Rows that are only trained on (``split.train_only``) do not change which others are held out: they are added afterwards,
except those of an entity that is held out, and copies of held-out rows.
"""

import time

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow.data.copies import by_chance, first_equal, joined, too_large
from pantheon.workflow.data.hashing import below, hash64, mix
from pantheon.workflow.data.parquet import sink, writing
from pantheon.workflow.data.reports import Repeated, SplitReport
from pantheon.workflow.data.spec import Spec, label_key
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.outputs import Summary
from pantheon.workflow.run import Run

SMALL = 100_000

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


def split_data(run: Run) -> Summary:
    """Split the clean data, by the spec's entity or time, into two parts. Rows keep their order.

    Writes ``data/train.parquet``, ``data/test.parquet`` and ``reports/split_data.json``: by, column, rows, share …

    Returns:
        train and test rows, for the progress line.

    Raises:
        PantheonError: there are too few rows, of a class or in total, to split and to cross-validate.
    """
    started = time.perf_counter()
    clean = run.need("data/clean.parquet", "clean_data")
    spec = read_spec(run.path("spec.toml"))
    params = run.params
    every = pl.scan_parquet(clean, glob=False)
    mark = spec.split.train_only
    frame = every.filter(~pl.col(mark)) if mark else every
    keys = [name for name in dict.fromkeys((spec.split.column, spec.target.column)) if name]
    table = frame.select(keys).collect()
    enough(spec, table, params.folds)
    first = first_equal(frame, spec.features)
    begin, together = "", False
    distinct = bool((first == np.arange(len(first))).all())
    chance = distinct or by_chance(frame, spec.features, first)
    if spec.split.by == "time":
        test, begin = by_time(spec, table, params.test_share)
    else:
        kept = None if chance else with_entities(spec, table, first)
        together = kept is not None
        test = by_hash(spec, table, params.test_share, kept)
    report = counted(spec, table, test)
    if begin:
        report["from"] = begin
    if repeats := repeated(first, test, together, chance):
        report["repeated"] = repeats
    check(spec, report, params.folds)
    with (
        writing(run.folder),
        run.output("data/train.parquet") as train_part,
        run.output("data/test.parquet") as test_part,
    ):
        mask = pl.Series("test", test)
        train, held_out = frame.filter(~mask), frame.filter(mask)
        if mark:
            added = only_trained_on(spec, every.filter(pl.col(mark)), held_out, chance and not distinct)
            train = pl.concat([train, added])
            report["train_only"] = int(added.select(pl.len()).collect().item())
            report["rows"]["train"] += report["train_only"]
        sink(train, train_part)
        sink(held_out, test_part)
    report["seconds"] = round(time.perf_counter() - started, 3)
    write_json(run.path("reports/split_data.json"), report)
    return {**report["rows"]}


def only_trained_on(spec: Spec, rows: pl.LazyFrame, held_out: pl.LazyFrame, chance: bool) -> pl.LazyFrame:
    """Return rows that may be trained on: without those of held-out entities, and without copies of held-out rows."""
    keys = [[spec.split.column]] if spec.split.by == "hash" and spec.split.column else []
    keys += [] if chance else [[column.name for column in spec.features]]
    for names in keys:
        rows = rows.join(held_out.select(names), on=names, how="anti", nulls_equal=True, maintain_order="left")
    return rows


def by_hash(spec: Spec, table: pl.DataFrame, share: float, first: Rows | None = None) -> Mask:
    """Return which rows are test rows, by the hash of their entity (``split.column``), or of the row number.

    Args:
        first: for every row, the position of the first row that it stays together with; None: of its entity.
    """
    entity = table[spec.split.column] if spec.split.column else None
    hashes = hash64(entity) if entity is not None else mix(np.arange(table.height, dtype=np.uint64))
    if first is not None:
        hashes = hashes[first]
    if table.height > SMALL:
        return hashes < below(share)
    rows = pl.DataFrame({"entity": hashes})
    classes = table[spec.target.column].alias("class") if spec.task == "classification" else pl.lit(0).alias("class")
    rows = rows.with_columns(classes)
    # An entity with several classes counts as its most frequent one; of equally frequent ones, as the first.
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
    # The middle of an entity's rows decides, so the share is met as closely as entities allow; of two entities, one.
    chosen = entities.filter(
        ((pl.col("middle") < pl.col("all") * share) | (pl.col("place") == 1)) & (pl.col("place") < pl.col("entities"))
    )
    return rows["entity"].is_in(chosen["entity"].implode()).to_numpy()


def by_time(spec: Spec, table: pl.DataFrame, share: float) -> tuple[Mask, str]:
    """Return the last ``share`` of the rows by time, and when they begin; rows of the same time stay together."""
    column = table[spec.split.column]
    times = column.to_physical().to_numpy()
    place = min(len(times) - 1, round(len(times) * (1 - share)))
    cut = np.partition(times, place)[place]
    if cut == times.min():
        later = times[times > cut]
        if not len(later):
            raise PantheonError(
                f"every row has the same {spec.split.column!r}: no row is later.", 'Set split.by = "hash" in the spec.'
            )
        cut = later.min()
    test = times >= cut
    return test, str(column.filter(pl.Series(times == cut))[0])


def enough(spec: Spec, table: pl.DataFrame, folds: int) -> None:
    """Check that there are enough rows to split, and to cross-validate the training part: in total, and of two classes.

    Raises:
        PantheonError: names the class and the number of rows that it needs.
    """
    least, most = 2 * folds + 2, table.height // 2 - 1
    if table.height < least:
        raise PantheonError(
            f"there are {table.height} rows; a split and {folds} folds need {least}.",
            f"Provide more rows{f', or use fewer folds: `run --folds {most}`' if most >= 2 else '.'}",
        )
    if spec.task != "classification":
        return
    counts = np.bincount(table[spec.target.column].to_numpy(), minlength=len(spec.target.classes))
    by_size = np.argsort(-counts, kind="stable")
    second = int(counts[by_size[1]])  # rarer classes are trained on, and their rareness is said
    if second < folds + 1:
        name = label_key(spec.target.classes[by_size[1]])
        raise few(spec, name, f"has {rows_of(second)}; a split and {folds} folds need {folds + 1}", second - 1)


def rows_of(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"


def few(spec: Spec, name: str, what: str, folds: int) -> PantheonError:
    """Return the error of a class with too few rows; ``folds`` is how many would be possible."""
    fewer = f"use fewer folds (`run --folds {folds}`)" if folds >= 2 else "choose another TARGET"
    return PantheonError(f"class {name!r} of {spec.target.column!r} {what}.", f"Provide more rows of it, or {fewer}.")


def with_entities(spec: Spec, table: pl.DataFrame, first: Rows) -> Rows | None:
    """Return the first row that every row stays together with: of its entity or its copies.

    None if that would keep most rows together: copies in many entities. Then only entities stay together.
    """
    if not spec.split.column:
        return first
    kept = joined(table[spec.split.column].rank("dense").to_numpy().astype(np.int64), first)
    return None if too_large(kept) else kept


def repeated(first: Rows, test: Mask, together: bool, chance: bool) -> Repeated | None:
    """Count the rows that repeat the inputs of another row; None if no row does."""
    sizes = np.bincount(first, minlength=len(first))
    rows = int((sizes[first] > 1).sum())
    if not rows:
        return None
    seen = np.isin(first[test], first[~test])
    return {
        "rows": rows,
        "distinct": int((sizes > 0).sum()),
        "together": together,
        "by_chance": chance,
        "in_both": int(seen.sum()),
    }


def counted(spec: Spec, table: pl.DataFrame, test: Mask) -> SplitReport:
    """Count rows, rows by class, and entities of both parts."""
    parts = {"train": table.filter(pl.Series(~test)), "test": table.filter(pl.Series(test))}
    report: SplitReport = {
        "by": spec.split.by,
        "column": spec.split.column,
        "rows": {"train": int((~test).sum()), "test": int(test.sum())},
        "share": round(float(test.mean()), 6),
    }
    if spec.task == "classification":
        names = [label_key(value) for value in spec.target.classes]
        report["classes"] = {}
        for part, rows in parts.items():
            counts = np.bincount(rows[spec.target.column].to_numpy(), minlength=len(names))
            report["classes"][part] = dict(zip(names, counts.tolist(), strict=True))
    if spec.split.column and spec.split.by == "hash":
        report["entities"] = {part: rows[spec.split.column].n_unique() for part, rows in parts.items()}
    return report


def check(spec: Spec, report: SplitReport, folds: int) -> None:
    """Check that both parts are large enough.

    Raises:
        PantheonError: a part is too small, or lacks a class.
    """
    rows = report["rows"]
    if rows["train"] < 2 * folds or rows["test"] < 2:
        entities = report.get("entities", {})
        of = f" of {sum(entities.values())} {spec.split.column!r}" if entities else ""
        if (repeats := report.get("repeated")) and repeats["together"]:
            of += f"; the rows are copies of {repeats['distinct']}, and copies stay together"
        raise PantheonError(
            f"the split leaves {rows['train']} rows to train and {rows['test']} to test{of}.",
            "Provide more rows, or change test_share or the split in the spec.",
        )
    if not (parts := report.get("classes")):
        return
    totals = {name: count + parts["test"][name] for name, count in parts["train"].items()}
    name = sorted(totals, key=lambda each: -totals[each])[1]  # the second class by size; rarer ones may lack rows
    for part, least in (("train", folds), ("test", 1)):
        count = parts[part][name]
        if count < least:
            raise few(spec, name, f"has {rows_of(count)} in the {part} part, which needs {least}", count)

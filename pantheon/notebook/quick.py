"""Show a run's data before training, for the notebook ``quick_preprocessing``. Nothing is written.

Numeric libraries are not imported before ``notebook.open_run`` has set the number of threads.
"""

from typing import TYPE_CHECKING, Any

from pantheon import notebook
from pantheon.files import read_json
from pantheon.workflow.run import Run

if TYPE_CHECKING:
    import polars as pl

ROWS = 20_000  # rows of a part that are compared, at most
SHUFFLES = 100  # random divisions of the rows, to measure the effect of chance
LEVEL = 0.95  # share of them that differ by less than `by chance`


def columns(run: Run) -> "pl.DataFrame":
    """Describe the inputs in the training rows: type, share of missing values, distinct values, typical values.

    Returns:
        One row per input: ``column``, ``type``, ``missing`` (0..1), ``different`` (number of distinct values),
        ``values``: minimum, median and maximum of numbers and dates, the most frequent ones of others.
    """
    frame = notebook.rows(run, "train", engineered=False)
    entries = []
    for entry in notebook.read(run, "features/preprocess.json")["inputs"]:
        values = frame[entry["name"]].drop_nulls()
        if entry["type"] in ("category", "boolean"):
            counts = values.rename("").value_counts(sort=True).head(4)
            shown = ", ".join(f"{value} {count / len(values):.0%}" for value, count in counts.rows())
        else:
            shown = " … ".join(_text(value) for value in (values.min(), values.median(), values.max()))
        missing = frame[entry["name"]].null_count() / max(1, len(frame))
        found = {"column": entry["name"], "type": entry["type"], "missing": missing, "different": values.n_unique()}
        entries.append(found | {"values": shown})
    return notebook.table(entries)


def cleaned(run: Run) -> "pl.DataFrame":
    """Return what cleaning changed: column, change, and number of cells."""
    report = notebook.read(run, "reports/clean_data.json")
    print(f"{report['rows_in']:,} rows before cleaning, {report['rows_out']:,} after")
    return notebook.table(report["changes"], "column", "what", "count")


def drift(run: Run) -> "pl.DataFrame":
    """Compare the distributions of all columns in training and held-out rows, largest difference first.

    For numbers the Kolmogorov-Smirnov distance, for categories the total variation distance: 0 is equal, 1 is disjoint.
    ``by chance``: 95 of 100 random divisions of the same rows differ by less.
    """
    import numpy as np

    from pantheon.workflow.training.matrix import load_spec, train_and_test

    spec = load_spec(run)
    inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
    kinds = [(entry["name"], entry["type"] in ("category", "boolean")) for entry in inputs]
    kinds.append((spec.target.column, spec.task == "classification"))
    parts = []
    for table in train_and_test(run):
        step = max(1, len(table) // ROWS)
        parts.append(np.column_stack([table.X[::step], table.y[::step]]))
    count, both = len(parts[0]), np.concatenate(parts).astype(np.float64)
    random = np.random.default_rng(run.params.seed)
    orders = [random.permutation(len(both)) for _ in range(SHUFFLES)]
    entries = []
    for place, (name, categorical) in enumerate(kinds):
        measure, values = _variation if categorical else _distance, both[:, place]
        distance = measure(values[:count], values[count:])
        chance = float(np.quantile([measure(values[order[:count]], values[order[count:]]) for order in orders], LEVEL))
        verdict = "similar" if distance <= chance else "check it: the held-out rows differ"
        entries.append({"column": name, "drift": distance, "by chance": chance, "": verdict})
    return notebook.table(sorted(entries, key=lambda entry: -float(entry["drift"])))


def _distance(one: Any, two: Any) -> float:
    """Return the Kolmogorov-Smirnov distance: the largest gap between the distribution functions; ignores NaN."""
    import numpy as np

    one, two = np.sort(one[~np.isnan(one)]), np.sort(two[~np.isnan(two)])
    if not len(one) or not len(two):
        return float(bool(len(one)) != bool(len(two)))
    every = np.concatenate([one, two])
    shares = [np.searchsorted(part, every, "right") / len(part) for part in (one, two)]
    return float(np.abs(shares[0] - shares[1]).max())


def _variation(one: Any, two: Any) -> float:
    """Return the total variation distance: half the sum of the differences in shares; missing counts as a category."""
    import numpy as np

    values = np.unique(np.concatenate([one, two]))  # NaN counts as one value, the last
    shares = []
    for part in (one, two):
        places = np.searchsorted(values, part)
        shares.append(np.bincount(places, minlength=len(values)) / max(1, len(part)))
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)[:16]

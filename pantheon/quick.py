"""What the notebook ``quick_preprocessing`` shows of a run's data before any model sees it. Nothing is written.

Nothing numeric is imported before ``notebook.open_run`` has fixed the threads.
"""

from typing import TYPE_CHECKING, Any

from pantheon import notebook
from pantheon.workflow.run import Run, read_json

if TYPE_CHECKING:
    import polars as pl

ROWS = 20_000  # of each part that are compared, at most
SHUFFLES = 100  # of the rows between the parts, to see what chance does
LEVEL = 0.95  # of them differ by less than `by chance`


def columns(run: Run) -> "pl.DataFrame":
    """Each input in the rows that are learnt from: type, share missing, how many different values, and the usual ones.

    Returns:
        One row an input: ``column``, ``type``, ``missing`` (0..1), ``different``, ``values``: of numbers and dates the
        least, the middle and the greatest, of others the commonest.
    """
    frame = notebook.rows(run, "train", engineered=False)
    entries = []
    for entry in notebook.read(run, "features/preprocess.json")["inputs"]:
        values = frame[entry["name"]].drop_nulls()
        if entry["type"] in ("category", "boolean"):
            counts = values.value_counts(sort=True).head(4)
            shown = ", ".join(f"{value} {count / len(values):.0%}" for value, count in counts.rows())
        else:
            shown = " … ".join(_text(value) for value in (values.min(), values.median(), values.max()))
        missing = frame[entry["name"]].null_count() / max(1, len(frame))
        found = {"column": entry["name"], "type": entry["type"], "missing": missing, "different": values.n_unique()}
        entries.append(found | {"values": shown})
    return notebook.table(entries)


def cleaned(run: Run) -> "pl.DataFrame":
    """What cleaning changed: column, what, and in how many cells."""
    report = notebook.read(run, "reports/clean_data.json")
    print(f"{report['rows_in']:,} rows came in, {report['rows_out']:,} are left")
    return notebook.table(report["changes"], "column", "what", "count")


def drift(run: Run) -> "pl.DataFrame":
    """How far each column's distribution differs between training and held-out rows, most first.

    Of numbers the Kolmogorov-Smirnov distance, of categories the total variation: 0 is the same, 1 has nothing in
    common. ``by chance``: 95 of 100 random divisions of the same rows differ by less.
    """
    import numpy as np

    from pantheon.workflow.matrix import load_spec, train_and_test

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
    for place, (name, words) in enumerate(kinds):
        measure, values = _variation if words else _distance, both[:, place]
        found = measure(values[:count], values[count:])
        chance = float(np.quantile([measure(values[order[:count]], values[order[count:]]) for order in orders], LEVEL))
        alike = "alike" if found <= chance else "look at it: the held-out rows differ"
        entries.append({"column": name, "drift": found, "by chance": chance, "": alike})
    return notebook.table(sorted(entries, key=lambda entry: -float(entry["drift"])))


def _distance(one: Any, two: Any) -> float:
    """Kolmogorov and Smirnov's: the greatest gap between the two shares of values below x; missing ones left out."""
    import numpy as np

    one, two = np.sort(one[~np.isnan(one)]), np.sort(two[~np.isnan(two)])
    if not len(one) or not len(two):
        return float(bool(len(one)) != bool(len(two)))
    every = np.concatenate([one, two])
    shares = [np.searchsorted(part, every, "right") / len(part) for part in (one, two)]
    return float(np.abs(shares[0] - shares[1]).max())


def _variation(one: Any, two: Any) -> float:
    """Half the sum of the differences between the shares of each category; missing is one of them."""
    import numpy as np

    known = np.unique(np.concatenate([one, two]))  # NaN is one value to it, the last
    shares = []
    for part in (one, two):
        places = np.searchsorted(known, part)
        shares.append(np.bincount(places, minlength=len(known)) / max(1, len(part)))
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)[:16]

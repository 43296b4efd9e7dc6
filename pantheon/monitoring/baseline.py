"""What a window is compared with: the model's own description of its training, or the first rows that it answered."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.monitoring.drift import Bins, bins_of
from pantheon.monitoring.inputs import Inputs
from pantheon.monitoring.report import MONITORING
from pantheon.monitoring.window import Model, labels
from pantheon.predictions.place import Place
from pantheon.predictions.read import Reader, Wanted
from pantheon.store import ModelStore
from pantheon.workflow.bundle import reference
from pantheon.workflow.bundle.distribution import of_codes, of_numbers
from pantheon.workflow.bundle.reference import FORMAT, Distribution, Reference
from pantheon.workflow.data.spec import label_key

FIRST_ROWS = 1_000  # of a version without a description of its training


@dataclass(frozen=True)
class Baseline:
    """A version, and what its rows are compared with.

    Attributes:
        reference: None if there is none yet.
        source: ``training``, ``log`` or empty, as in a report.
        scores: metrics of the held-out rows.
        tested: how many held-out rows; 0: unknown.
        notes: what is missing, in words.
    """

    model: Model
    reference: Reference | None
    source: str
    scores: dict[str, float]
    tested: int
    notes: tuple[str, ...] = ()


def load(store: ModelStore, place: Place, reader: Reader, name: str, version: str) -> Baseline:
    """Return the baseline of a version.

    Raises:
        PantheonError: the store has no such version, or it cannot be read.
    """
    folder = store.get(name, version)
    signature, metrics = read_json(folder / "signature.json"), _metrics(folder / "metrics.json")
    inputs, classes = Inputs(signature), tuple(map(label_key, signature["output"].get("classes", ())))
    notes: tuple[str, ...] = ()
    try:
        found = reference.read(folder / reference.FILE)
    except ValueError as error:
        found, notes = None, (f"The description of the training of version {version} is damaged: {error}.",)
    source = "training" if found else ""
    if found is None:
        found, more = _of_log(place, reader, name, version, inputs, classes)
        source, notes = "log" if found else "", (*notes, more)
    if found and set(found.columns) != set(inputs.names):
        found, source, notes = None, "", (*notes, f"{reference.FILE} of version {version} has other inputs.")
    bins = _bins(found)
    outcome = label_key(signature["output"]["positive"]) if "positive" in signature["output"] else ""
    middle = np.nan
    if found and found.predictions:
        usual = found.predictions
        outcome = outcome or max(usual.categories, key=lambda each: usual.categories[each], default="")
        middle = usual.quantiles[len(usual.quantiles) // 2] if usual.quantiles else np.nan
    model = Model(version, inputs, classes, outcome or next(iter(classes), ""), middle, bins)
    scores = {each: score for each, score in (metrics.get("held_out") or {}).items() if isinstance(score, (int, float))}
    return Baseline(model, found, source, scores, int((metrics.get("rows") or {}).get("test") or 0), notes)


def _metrics(path: Any) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _bins(found: Reference | None) -> dict[str, Bins]:
    if found is None:
        return {}
    described = found.columns | ({"": found.predictions} if found.predictions else {})
    return {name: bins for name, each in described.items() if (bins := bins_of(each))}


def _of_log(
    place: Place, reader: Reader, name: str, version: str, inputs: Inputs, classes: tuple[str, ...]
) -> tuple[Reference | None, str]:
    """Return the distribution of the first rows that a version answered, which is kept, and a sentence about it."""
    key = f"{MONITORING}/{name}/references/{version}.json"
    said = (
        f"Version {version} has no description of its training, so that its first {FIRST_ROWS:,} rows in the log are "
        "what it is compared with."
    )
    if content := place.read(key):
        try:
            return msgspec.json.decode(content, type=Reference), said
        except msgspec.DecodeError as error:
            raise PantheonError(
                f"{place.where}/{key} is damaged: {error}.", "Remove it: it is made again.", 1
            ) from None
    rows = _first(reader, name, version)
    if rows.height < FIRST_ROWS:
        return None, f"{said} There are {rows.height:,} so far."
    table = inputs.decode(rows)
    columns = {entry["name"]: _of_column(table[f"in:{entry['name']}"], entry["type"]) for entry in inputs.entries}
    if classes:
        predictions = _of_column(labels(rows["prediction"]), "category")
    else:
        predictions = _of_column(rows["prediction"].cast(pl.Float64, strict=False), "number")
    found = Reference(FORMAT, rows.height, columns, None, predictions)
    place.put_new(key, msgspec.json.encode(found))
    return found, said


def _first(reader: Reader, name: str, version: str) -> pl.DataFrame:
    found = pl.DataFrame(schema={"input": pl.String, "prediction": pl.String})
    for day in reader.days(name):
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        wanted = Wanted(name, version, since=begin, until=begin + timedelta(days=1), shadow=False)
        answered = (pl.col("status") == 200) & pl.col("input").str.starts_with("{")
        more = reader.read(
            wanted,
            lambda rows: (
                rows.filter(answered)  # noqa: B023 - it is called at once
                .sort("at", "id", "row")
                .select("input", "prediction")
                .head(FIRST_ROWS)
                .collect()
            ),
        )
        found = pl.concat([found, more]).head(FIRST_ROWS)
        if found.height == FIRST_ROWS:
            break
    return found


def _of_column(values: pl.Series, kind: str) -> Distribution:
    if values.dtype == pl.Float64:
        return of_numbers(values.fill_null(np.nan).to_numpy(), kind)
    names = values.unique().drop_nulls().sort().to_list()
    codes = values.replace_strict(names, list(range(len(names))), default=None, return_dtype=pl.Float32)
    return of_codes(codes.fill_null(np.nan).to_numpy(), names, kind)

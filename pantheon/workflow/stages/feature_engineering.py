"""feature_engineering: compute features from columns, as expressions that become part of the model's ONNX graph."""

from itertools import combinations

import numpy as np

from pantheon.files import write_json
from pantheon.workflow import cancellation, extensions
from pantheon.workflow.expressions import columns_of, evaluate
from pantheon.workflow.outputs import Dropped, Engineered, Feature, Input, Preprocessed, Summary, Tree
from pantheon.workflow.run import Run
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.matrix import Table
from pantheon.workflow.training.origins import in_originals, origins_of

YEAR = 365.2425  # days
SKEW = 2.0
SAMPLE = 200_000  # rows that statistics are computed from, evenly spaced


def feature_engineering(run: Run) -> Summary:
    """``features/train.npz`` → ``features/engineered.json``: ``{"features": [{name, expression, why}], "dropped"}``.

    - for a date: the day of the week (0 is Monday) and the fraction of the year (0..1), where they vary;
    - for two dates: the days between them;
    - for a strongly skewed number that is never negative: its logarithm (for the linear model; trees do not need it);
    - every feature that the user's extensions register.

    The age of a date is not computed: a date is already a number of days, and the age would only change its sign.
    """
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    X = Table.load(run.need("features/train.npz", "preprocess")).X
    X = X[:: max(1, len(X) // SAMPLE)]
    proposed, owners = [*_dates(inputs), *_skewed(inputs, X)], dict[str, str]()
    for own in extensions.load(run.extensions).features.values():
        owners[own.name] = own.owner
        proposed.append((own.name, extensions.trace(own, inputs), f"user-defined ({own.file.name})"))
    given = origins_of(inputs)
    columns = {entry["name"]: X[:, place] for place, entry in enumerate(inputs)}
    kept: list[Feature] = []
    dropped: list[Dropped] = []
    for name, tree, why in proposed:
        cancellation.check()
        tree = in_originals(tree, given)
        values = evaluate(tree, columns)
        seen = np.unique(values[~np.isnan(values)])
        if len(seen) < 2:
            dropped.append(
                {"name": name, "why": "is always missing" if not len(seen) else "has the same value in every row"}
            )
        else:
            made: Feature = {"name": name, "expression": tree, "of": sorted(columns_of(tree)), "why": why}
            kept.append({**made, "owner": owner} if (owner := owners.get(name)) else made)
    result: Engineered = {"features": kept, "dropped": dropped}
    write_json(run.path("features/engineered.json"), result)
    return {"features": len(kept), "names": [feature["name"] for feature in kept][:8]}


def _dates(inputs: list[Input]) -> list[tuple[str, Tree, str]]:
    result: list[tuple[str, Tree, str]] = []
    dates = [entry["name"] for entry in inputs if entry["type"] == "date"]
    for name in dates:
        day: Tree = ["floor", ["column", name]]
        result.append(
            (f"{name}:weekday", _modulo(["add", day, ["number", 3.0]], 7.0), f"the day of the week of {name}")
        )
        season: Tree = ["div", _modulo(day, YEAR), ["number", YEAR]]
        result.append((f"{name}:season", season, f"the part of the year of {name}"))
    for one, other in combinations(dates[:4], 2):
        result.append(
            (f"{other} - {one}", ["sub", ["column", other], ["column", one]], f"the days from {one} to {other}")
        )
    return result


def _modulo(tree: Tree, by: float) -> Tree:
    return ["sub", tree, ["mul", ["floor", ["div", tree, ["number", by]]], ["number", by]]]


def _skewed(inputs: list[Input], X: Floats) -> list[tuple[str, Tree, str]]:
    result: list[tuple[str, Tree, str]] = []
    for place, entry in enumerate(inputs):
        values = X[:, place].astype(np.float64)
        values = values[~np.isnan(values)]
        if entry["type"] not in ("number", "integer") or "origin" in entry or len(values) < 20 or values.min() < 0:
            continue
        spread = values.std()
        if (
            spread > 0
            and np.mean(((values - values.mean()) / spread) ** 3) > SKEW
            and len(np.unique(values[:1000])) > 10
        ):
            positive: Tree = ["maximum", ["column", entry["name"]], ["number", 0.0]]
            result.append((f"log {entry['name']}", ["log1p", positive], f"{entry['name']} has a long tail"))
    return result

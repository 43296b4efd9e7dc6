"""feature_selection: select the columns that can be useful, and explain why the others are dropped."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow import cancellation
from pantheon.workflow.outputs import Dropped, Input, Preprocessed, Selected, Summary
from pantheon.workflow.run import Run
from pantheon.workflow.training.encoding import Floats
from pantheon.workflow.training.matrix import Table

SAMPLE = 200_000  # rows that are examined, at most, evenly spaced
SAME = 0.99999  # correlation from which two numbers are duplicates
IDENTIFIER = 0.9  # share of distinct values from which a category is an identifier
NEARLY = 0.999  # as SAME, for a product in float32
FEW = 0.001  # share of rows that must differ from the most frequent value


def feature_selection(run: Run) -> Summary:
    """``features/train.npz`` → ``features/selected.json``: ``{"columns": [...], "dropped": [{name, why}]}``.

    Columns that cannot help any model are dropped: always missing, (nearly) constant, identifiers, and copies of an
    earlier column. The models decide whether another column helps: a test of single columns would drop those that are
    only useful together.

    Raises:
        PantheonError: no column remains.
    """
    inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
    X = Table.load(run.need("features/train.npz", "preprocess")).X
    X = X[:: max(1, len(X) // SAMPLE)]
    kept: list[int] = []
    dropped: list[Dropped] = []
    seen = Seen(X)
    for place, entry in enumerate(inputs):
        cancellation.check()
        why = _useless(X[:, place], entry)
        if not why and (same := seen.same(place, entry["type"] == "category")) is not None:
            why = f"duplicates {inputs[same]['name']}"
        if why:
            dropped.append({"name": entry["name"], "why": why})
        else:
            kept.append(place)
    if not kept:
        reasons = "; ".join(f"{entry['name']} {entry['why']}" for entry in dropped[:3])
        raise PantheonError(
            f"no column is useful to predict the target: {reasons}.", "Provide data with columns that vary."
        )
    result: Selected = {"columns": [inputs[place]["name"] for place in kept], "dropped": dropped}
    write_json(run.path("features/selected.json"), result)
    return {"columns": len(kept), "dropped": [f"{entry['name']}: {entry['why']}" for entry in dropped][:5]}


def _useless(values: Floats, entry: Input) -> str:
    rows = len(values)
    seen, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    missing = rows - int(counts.sum())
    if not len(seen):
        return "is missing in every row"
    if len(seen) == 1 and not missing:
        return "has the same value in every row"
    others = rows - max(int(counts.max()), missing)
    if others < max(2, FEW * rows):
        return f"differs from its most frequent value in only {others} of {rows} rows"
    if entry["type"] == "category" and rows > 50 and len(seen) > IDENTIFIER * counts.sum():
        return "is an identifier rather than a category: nearly every row has another value"
    return ""


class Seen:
    """The columns seen so far, to find the first one that a further column duplicates.

    Categories are compared by a digest. Numbers are compared by one product with all earlier ones that are missing in
    the same rows, in float32; the few that it finds are compared exactly.
    """

    def __init__(self, X: Floats) -> None:
        self.X = X
        self.first: dict[bytes, int] = {}
        self.groups: dict[bytes, Group] = {}

    def same(self, place: int, category: bool) -> int | None:
        """Return the position of the column that the one at ``place`` duplicates; None if it is the first of its kind.

        Categories are duplicates if they map one to one, numbers if their correlation is above ``SAME``.
        """
        values = self.X[:, place].astype(np.float64)
        present = ~np.isnan(values)
        values = values[present] + 0.0  # -0.0 is 0.0
        codes: Any = values
        if category:
            _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
            codes = np.argsort(np.argsort(first))[inverse]  # numbered in the order of their appearance
        missing, kind = _digest(present), b"category" if category else b"number"
        key = kind + missing + _digest(codes)
        if key in self.first:
            return self.first[key]
        if not category:
            group = self.groups.setdefault(missing, Group([], np.empty((0, len(values)), np.float32)))
            direction = _direction(values)
            for other in group.near(direction):
                if _correlated(self.X[present, other].astype(np.float64), values):
                    return other
            group.add(place, direction)
        self.first[key] = place
        return None


@dataclass
class Group:
    """Columns of numbers that are missing in the same rows.

    Attributes:
        places: their positions.
        directions: float32 (at least as many as places, rows): their values, centred and scaled to length 1.
    """

    places: list[int]
    directions: Floats

    def near(self, direction: Floats) -> list[int]:
        """Return the positions of the columns that may be correlated with one of this direction."""
        products = self.directions[: len(self.places)] @ direction
        return [self.places[index] for index in np.flatnonzero(np.abs(products) > NEARLY)]

    def add(self, place: int, direction: Floats) -> None:
        count = len(self.places)
        if count == len(self.directions):
            more = np.empty((max(8, count), len(direction)), np.float32)
            self.directions = np.concatenate([self.directions, more])
        self.directions[count] = direction
        self.places.append(place)


def _direction(values: Any) -> Floats:
    """Return values, centred and scaled to length 1, as float32; zeros if all are equal."""
    centred = values - values.mean() if len(values) else values
    length = np.linalg.norm(centred)
    return np.asarray(centred / length if length else centred, np.float32)


def _digest(values: Any) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()


def _correlated(one: Any, two: Any) -> bool:
    if len(one) < 3 or one.std() == 0 or two.std() == 0:
        return False
    return bool(abs(np.corrcoef(one, two)[0, 1]) > SAME)

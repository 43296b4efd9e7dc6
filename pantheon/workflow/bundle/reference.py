"""``reference.json`` of a bundle: the distribution of every column in the training, to compare later rows with.

It describes each column by itself, and has no row of the training data. Needs msgspec alone: the servers read it too.
"""

import math
from pathlib import Path

import msgspec

FILE, FORMAT = "reference.json", 1
LEVELS = 33  # quantiles: the least, 31 between, the greatest
NUMBERS = ("number", "integer", "date")
KINDS = (*NUMBERS, "boolean", "category")


class Distribution(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a column has which values.

    Attributes:
        kind: number, integer, date (in days since 1970-01-01), boolean or category.
        rows: that were counted, also those without a value.
        missing: the share of rows without a value; all other shares are of the rows with one.
        quantiles: of numbers, ``LEVELS`` values that are in equal steps from the least to the greatest.
        below: the share of rows whose value is at most that quantile. Many equal values make it larger than its step.
        categories: of a category, a boolean (``true``, ``false``) and a class: value → share; only values that occur.
    """

    kind: str
    rows: int
    missing: float = 0.0
    quantiles: list[float] = []
    below: list[float] = []
    categories: dict[str, float] = {}

    def __post_init__(self) -> None:
        shares = [self.missing, *self.below, *self.categories.values()]
        if self.kind not in KINDS or self.rows < 0 or not all(0 <= share <= 1 for share in shares):
            raise ValueError("a kind is unknown, or a share is not from 0 to 1")
        lengths = (len(self.quantiles), len(self.below))
        if lengths not in ((0, 0), (LEVELS, LEVELS)) or not all(map(math.isfinite, self.quantiles)):
            raise ValueError(f"quantiles and below must be {LEVELS} numbers, or none")
        for values in (self.quantiles, self.below):
            if sorted(values) != values:
                raise ValueError("quantiles and below must not decrease")


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``reference.json``.

    Attributes:
        rows: of the training part.
        columns: the inputs, in the order of the signature.
        target: in the training part.
        predictions: of the model, for the held-out rows; None: they are not known.
    """

    format: int
    rows: int
    columns: dict[str, Distribution]
    target: Distribution | None = None
    predictions: Distribution | None = None


def read(path: Path) -> Reference | None:
    """Read a file; None if there is none: bundles of earlier releases and models built elsewhere may have none.

    Raises:
        ValueError: it is malformed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(content, type=Reference)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    if found.format != FORMAT:
        raise ValueError(f"{path.name} does not have the format {FORMAT}")
    return found

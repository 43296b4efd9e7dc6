"""The reports of the data stages: the content of ``reports/*.json``."""

from typing import NotRequired, TypedDict


class Loaded(TypedDict):
    """``reports/load_data.json``; ``sha256`` and ``bytes`` refer to the source file, ``left_out`` to rows of it."""

    rows: int
    columns: list[str]
    source: str
    format: str
    bytes: int
    sha256: str
    left_out: list[str]
    not_in_spec: list[str]
    seconds: float


class Change(TypedDict):
    """What cleaning did to ``count`` cells (or rows) of a column."""

    column: str
    what: str
    count: int


class Violation(TypedDict):
    """A violation of the spec by the data, and what to do about it."""

    column: str
    what: str
    cure: str


class Cleaned(TypedDict):
    """``reports/clean_data.json``.

    Attributes:
        unread: by column, texts that could not be parsed and count as missing: the most frequent ones.
        unlisted: by column, cells with categories that the spec does not list, by category: the most frequent ones.
        missing: share of missing cells by column.
        classes: rows by class.
    """

    rows_in: int
    rows_out: int
    changes: list[Change]
    violations: list[Violation]
    unlisted: dict[str, dict[str, int]]
    unread: NotRequired[dict[str, list[str]]]
    missing: dict[str, float]
    classes: dict[str, int]
    seconds: float


class Rows(TypedDict):
    """Rows by part."""

    train: int
    test: int


class Repeated(TypedDict):
    """Rows with the inputs of another row; see ``pantheon.workflow.data.copies``.

    Attributes:
        rows: how many rows have the inputs of another one.
        distinct: how many distinct rows there are, by their inputs.
        together: whether they are in the same part and fold.
        by_chance: whether so many rows coincide by chance, since inputs take few values.
        in_both: held-out rows with the inputs of a training row.
    """

    rows: int
    distinct: int
    together: bool
    by_chance: bool
    in_both: int


SplitReport = TypedDict(
    "SplitReport",
    {
        "by": str,
        "column": str,
        "from": NotRequired[str],
        "rows": Rows,
        "share": float,
        "classes": NotRequired[dict[str, dict[str, int]]],
        "entities": NotRequired[dict[str, int]],
        "repeated": NotRequired[Repeated],
        "train_only": NotRequired[int],
        "seconds": NotRequired[float],
    },
)
"""``reports/split_data.json``: rows, rows by class, and entities, for both parts; ``from``: start of the test part;
``train_only``: how many rows of the training part are never held out, which are not counted by class."""

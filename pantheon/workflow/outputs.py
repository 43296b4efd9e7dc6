"""The JSON files that stages write for each other and for readers of a run or a model: one type per file.

A type is the content of the file; ``Run.read`` checks a file against it. Keys that only some runs have are
``NotRequired``: other tasks, PyCaret runs, or files of an earlier version.
"""

from typing import Any, NotRequired, TypedDict

from pantheon.workflow.data.reports import Rows
from pantheon.workflow.data.spec import Value

Tree = list[Any]
"""An expression on columns as nested lists; see ``pantheon.workflow.expressions``."""
ModelParams = dict[str, Any]
"""Hyperparameters of an estimator by name, as JSON values."""
Scores = dict[str, float | None]
"""Metric → value; None where the metric is undefined on these rows."""
Summary = dict[str, Any]
"""A few figures of a stage, to show in its progress line."""

CHOSEN = "chosen"
"""The chosen model's name in ``evaluation/test.npz`` and ``evaluation/train.npz``."""
CHOSEN_ONNX = "evaluation/chosen.onnx"
"""The chosen model of PyCaret, already converted, instead of ``evaluation/chosen.joblib``."""


# Features -------------------------------------------------------------------------------------------------------------


class Texts(TypedDict, total=False):
    """How cells that are text were read in training, so that serving reads the same; see ``serving/model/texts.py``.

    Attributes:
        version: of these keys; only for all inputs.
        missing: texts that mean "missing", besides the empty text.
        decimal, thousands, units, forms: of numbers; see ``Column``.
        true, false: texts of a boolean.
        formats: of dates, in the order in which they are tried.
        time: whether dates have a time of day.
    """

    version: int
    missing: list[str]
    decimal: str
    thousands: str
    units: dict[str, float]
    forms: list[str]
    true: list[str]
    false: list[str]
    formats: list[str]
    time: bool


class Input(TypedDict):
    """One input of a model, as ``signature.json`` and ``features/preprocess.json`` describe it.

    Attributes:
        type: number, integer, boolean, category or date.
        nullable: whether a caller may omit it.
        categories, unknown: of a category; unknown is "warn", "other" or "refuse".
        min, max: bounds in the spec; ISO dates for dates.
        text: how its texts are read, in addition to ``text`` of the signature.
        seen: the smallest and largest value in the training part.
        example: a value for a form.
        origin: subtracted in double before the value becomes float32, which cannot tell its values apart; in days since
            1970-01-01 for dates. All other figures are of the original values.
    """

    name: str
    type: str
    nullable: bool
    text: NotRequired[Texts]
    description: NotRequired[str]
    categories: NotRequired[list[str]]
    unknown: NotRequired[str]
    min: NotRequired[int | float | str]
    max: NotRequired[int | float | str]
    seen: NotRequired[list[float | str]]
    example: NotRequired[Value]
    origin: NotRequired[float]


class Preprocessed(TypedDict):
    """``features/preprocess.json``

    Attributes:
        missing_in_train: share of missing values by input, 0..1.
        long_tail: whether 1 % of the target's numbers have a large part of its variance.
    """

    inputs: list[Input]
    rows: Rows
    missing_in_train: dict[str, float]
    long_tail: NotRequired[bool]


class Dropped(TypedDict):
    """A dropped column and the reason, such as "is missing in every row"."""

    name: str
    why: str


class Feature(TypedDict):
    """An engineered feature; ``of`` names the columns that it is computed from, ``owner`` who made it, if known."""

    name: str
    expression: Tree
    of: list[str]
    why: str
    owner: NotRequired[str]


class Engineered(TypedDict):
    """``features/engineered.json``"""

    features: list[Feature]
    dropped: list[Dropped]


class Selected(TypedDict):
    """``features/selected.json``"""

    columns: list[str]
    dropped: list[Dropped]


class DesignFeature(TypedDict):
    name: str
    expression: Tree


class DesignFile(TypedDict):
    """``features/design.json``: the join of selection and engineering; ``classes`` is 0 for regression."""

    columns: list[str]
    features: list[DesignFeature]
    task: str
    classes: int


# Training -------------------------------------------------------------------------------------------------------------


class FittedCandidate(TypedDict):
    params: ModelParams
    seconds: float


class Trained(TypedDict):
    """``candidates.json``: every family that was fitted with its defaults."""

    candidates: dict[str, FittedCandidate]
    rows: int


class Ranked(TypedDict):
    """A family in the ranking; ``folds``: its scores by fold, ``id``: PyCaret's name of it."""

    name: str
    id: NotRequired[str]
    mean: float
    std: float
    folds: list[float]


class Selection(TypedDict):
    """``selection.json``: the families with default parameters, best first."""

    metric: str
    greater_is_better: bool
    rows: int
    ranking: list[Ranked]


class Trial(TypedDict):
    """One trial of hyperparameters."""

    number: int
    params: ModelParams
    mean: float
    folds: list[float]


class Search(TypedDict):
    """The trials of one family; ``why``: the reason if there is no best one (PyCaret)."""

    best: Trial | None
    trials: list[Trial]
    why: NotRequired[str]


class Tuning(TypedDict):
    """``tuning.json``; ``folds``: number of the folds that were used, ``not_served``: family → reason (PyCaret)."""

    metric: str
    folds: int
    reproducible: bool
    families: dict[str, Search]
    not_served: NotRequired[dict[str, str]]


# Evaluation -----------------------------------------------------------------------------------------------------------


class Configuration(TypedDict):
    """A family with its parameters, and its scores in cross-validation."""

    name: str
    params: ModelParams
    tuned: bool
    folds: list[float]
    mean: float
    std: float


class Agreed(TypedDict):
    """How the predictions of the ONNX graph differ from those of the estimator."""

    rows: int
    labels_differ: int
    rows_off: int
    greatest_difference: float


class NotServed(TypedDict):
    """A PyCaret model that is not served, and why; ``mean`` is its score in cross-validation."""

    name: str
    mean: float | None
    why: str


class Tried(TypedDict):
    name: str
    mean: float
    trials: int


class PyCaretOrigin(TypedDict):
    """PyCaret's part in the lineage; ``tried``: every family with its score and number of trials."""

    version: str
    lock_sha256: str | None
    packages: dict[str, str]
    rows: int
    setup: dict[str, bool]
    tried: list[Tried]
    not_served: list[NotServed]


class Chosen(Configuration):
    """``evaluation/chosen.json``; the last four keys are present if PyCaret made and converted the model."""

    metric: str
    reproducible: bool
    agreement: NotRequired[Agreed]
    onnx_sha256: NotRequired[str]
    note: NotRequired[str]
    pycaret: NotRequired[PyCaretOrigin]


class Primary(TypedDict):
    """The metric that models are ranked by."""

    name: str
    greater_is_better: bool


class CrossValidated(TypedDict):
    metric: str
    mean: float
    std: float
    folds: int


class Overfitting(TypedDict):
    """The primary metric on the training rows, in cross-validation and on the held-out rows, with a verdict."""

    train: float | None
    cross_validation: float
    held_out: float | None
    gap: float | None
    verdict: str


class ComparedCandidate(TypedDict):
    """A candidate in cross-validation and on the held-out rows."""

    name: str
    tuned: bool
    chosen: bool
    cv_mean: float
    cv_std: float
    held_out: Scores


class Slice(TypedDict):
    """The metrics on part of the held-out rows: those whose ``column`` is ``value``."""

    column: str
    value: str
    rows: int
    metrics: Scores


class Bin(TypedDict):
    """A range of predicted probabilities: their mean, and the observed frequency."""

    predicted: float
    observed: float
    rows: int


class Importance(TypedDict):
    """How much the primary metric worsens when this input is shuffled."""

    name: str
    mean: float
    std: float


class Metrics(TypedDict):
    """``metrics.json``; ``confusion`` (true class by predicted class) for classification only."""

    task: str
    primary: Primary
    chosen: str
    params: ModelParams
    tuned: bool
    held_out: Scores
    train: Scores
    cross_validation: CrossValidated
    baseline: Scores
    overfitting: Overfitting
    candidates: list[ComparedCandidate]
    slices: list[Slice]
    calibration: list[Bin]
    importance: list[Importance]
    warnings: list[str]
    rows: Rows
    reproducible: bool
    confusion: NotRequired[list[list[int]]]


class Difference(TypedDict):
    """How much better a model is than another on the same rows (negative: worse), and how much may be chance."""

    model: float | None
    other: float | None
    gain: float | None
    margin: float


class BaselineDifference(Difference):
    """``chance``: the share of random orders of the predictions that score as well."""

    chance: NotRequired[float]


class Deployed(TypedDict):
    """The comparison with the deployed version; if it is not comparable, a reason instead of figures.

    Attributes:
        split: how the rows were split for that version, if otherwise than today; as part of a sentence.
        metric: the metric that it was chosen by, if it is another one.
    """

    version: str | None
    comparable: bool
    why: str
    split: NotRequired[str]
    metric: NotRequired[str]
    model: NotRequired[float | None]
    other: NotRequired[float | None]
    gain: NotRequired[float | None]
    margin: NotRequired[float]


class Preview(TypedDict):
    """What the gate would decide now."""

    decision: str
    reason: str


class Comparison(TypedDict):
    """``comparison.json``; ``deployed`` is None if no model of this name is deployed."""

    metric: str
    greater_is_better: bool
    rows: int
    baseline: BaselineDifference
    candidates: dict[str, Difference]
    deployed: Deployed | None
    preview: NotRequired[Preview]

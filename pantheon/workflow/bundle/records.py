"""The types of a bundle's JSON files ``signature.json`` and ``lineage.json``.

``metrics.json`` is copied from the run; see ``pantheon.workflow.outputs``.
"""

from typing import Any, NotRequired, TypedDict

from pantheon.workflow.data.spec import Value
from pantheon.workflow.outputs import Agreed, Input, PyCaretOrigin, Texts
from pantheon.workflow.run import Ordered

STORED = "features/store.json"
"""The model's features in the feature store, if the deployment has one."""


class Output(TypedDict):
    """A model's output; ``classes``, ``labels`` and ``positive`` for a classification, ``unit`` for a number."""

    name: str
    type: NotRequired[str]
    classes: NotRequired[list[Value]]
    labels: NotRequired[dict[str, str]]
    positive: NotRequired[Value]
    unit: NotRequired[str]


class OnnxNames(TypedDict):
    """The names of the graph's input and outputs."""

    input: str
    outputs: list[str]


class Signature(TypedDict):
    """``signature.json``: a model's inputs and output; ``text`` is how texts of all inputs are read."""

    format: int
    name: str
    task: str
    text: NotRequired[Texts]
    inputs: list[Input]
    output: Output
    onnx: OnnxNames


class DataOrigin(TypedDict):
    """The data that a model was trained on; ``sha256`` is that of the file, or None if unknown."""

    name: str
    source: str | None
    sha256: str | None
    rows: int
    spec_sha256: str


class CodeOrigin(TypedDict):
    """The code that trained a model; ``extensions`` has the checksums of the user's files."""

    version: str
    commit: str | None
    lock_sha256: str | None
    extensions: dict[str, str]


class SplitOrigin(TypedDict):
    """How rows were split: by hash or time, of which column, the held-out share, and whether copies stay together."""

    by: str
    column: str
    share: float
    together: bool


class StoredInput(TypedDict):
    """Where the endpoint finds an input of the model in the feature store."""

    view: str
    field: str
    type: str
    ttl_seconds: float


class StoredFeatures(TypedDict):
    """``features/store.json``, and ``features.json`` of a bundle: the model's features in the feature store.

    ``pantheon.features.contract.ModelFeatures`` describes the keys.
    """

    service: str
    entity: str
    key: str
    inputs: dict[str, StoredInput]
    project: str
    views: list[str]


class FeaturesOrigin(TypedDict):
    """The features that a model was trained on, in the feature store: the feature service, and its views."""

    service: str
    views: list[str]


class Environment(TypedDict):
    python: str
    system: str
    machine: str
    packages: dict[str, str]


class Lineage(TypedDict):
    """``lineage.json``: the origin of a model.

    Attributes:
        features: if the deployment has a feature store.
        order: if the run was ordered.
        version_control: the commit and the version of the data in the deployment's repository, if DVC records runs.
        times: when the run was requested (``asked``), and started, finished and seconds of every stage.
    """

    run: str
    created: str
    data: DataOrigin
    code: CodeOrigin
    parameters: dict[str, Any]
    version_control: dict[str, Any] | None
    tier: str
    environment: Environment
    times: dict[str, Any]
    split: NotRequired[SplitOrigin]
    features: NotRequired[FeaturesOrigin]
    order: NotRequired[Ordered]
    agreement: NotRequired[Agreed]
    pycaret: NotRequired[PyCaretOrigin]

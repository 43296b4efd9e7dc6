"""What the service ``feast``, the workflow, the endpoint and the commands tell each other about features.

The service is the only writer of parts, of Feast's registry and of the online store. The others ask it over HTTP
(``pantheon.features.client``). This module imports no Feast, so that every environment can read it.
"""

import re
from typing import Any

import msgspec

from pantheon.entities import canonical as canonical

PROJECT = "pantheon"  # of Feast, in every deployment
EVENT, CREATED = "event_timestamp", "created"  # columns of every part: UTC, in microseconds
ROW = "row_id"  # a column of what is asked of ``historical``: the order of the answer may differ
RESERVED = frozenset({EVENT, CREATED, ROW, "entity_row_id", "event_expire_timestamp", "rn", "__log_date"})
"""Names that no key or field may have, whatever their case: Feast uses them in its joins. It also drops what ends with
``_y``."""
TYPES = (
    "number",
    "integer",
    "text",
    "boolean",
    "date",
)  # of fields; Feast's Float64, Int64, String, Bool, UnixTimestamp


class Field(msgspec.Struct, kw_only=True):
    """A feature.

    Attributes:
        name: in Feast: letters, digits and underscores.
        column: in the dataset and in requests, such as ``robot-age``.
        type: one of ``TYPES``.
        minimum, maximum, max_missing: expectations: the range, and the share of missing values, 0 to 1.
        expression: of an engineered feature, as readable text.
        of: columns that it is computed from.
        owner: who made it, if this is not the owner of the view.
    """

    name: str
    column: str
    type: str
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    max_missing: float | None = None
    expression: str = ""
    of: list[str] = []
    owner: str = ""


class Coded(msgspec.Struct, kw_only=True):
    """How a column that formulas read becomes a number: see ``pantheon.workflow.training.encoding``.

    Attributes:
        type: number, integer, boolean, category or date.
        origin: is subtracted; None: nothing.
    """

    name: str
    type: str
    categories: list[str] = []
    origin: float | None = None


class Code(msgspec.Struct, kw_only=True):
    """How an engineered view is computed from a row of the raw view.

    Attributes:
        inputs: the columns that are read.
        formulas: by the column of each field: an expression, see ``pantheon.workflow.expressions``.
    """

    inputs: list[Coded]
    formulas: dict[str, list[Any]]


class View(msgspec.Struct, kw_only=True):
    """A feature view: features of one entity, computed by the same code.

    Attributes:
        name: in Feast; an engineered view's ends with the hash of its code.
        set: the dataset that it is computed from.
        kind: ``raw`` or ``engineered``.
        key: the join key in Feast, such as ``robot_id``; ``row`` if the dataset has no entity.
        entity: the dataset's column of the entity, such as ``robot-id``; empty: none, and nothing is read online.
        time: the dataset's column of the time; empty: the time of loading.
        ttl_seconds: from this age on, a value is expired; 0: never.
        freshness_seconds: an expectation: the newest value is not older; 0: none.
        owner: who made it.
        run: the run that wrote it first.
        code: of an engineered view that is computed row by row; None: only a run can compute it.
    """

    name: str
    set: str
    kind: str
    key: str
    fields: list[Field]
    entity: str = ""
    time: str = ""
    ttl_seconds: float = 0
    freshness_seconds: float = 0
    owner: str = ""
    description: str = ""
    run: str = ""
    code: Code | None = None


class Chosen(msgspec.Struct, kw_only=True):
    """A feature service: the features of one model, chosen by feature_selection.

    Attributes:
        name: in Feast, such as ``robots_20261129_194636_ee26``.
        features: such as ``robots:robot_age``.
    """

    name: str
    set: str
    features: list[str]
    run: str = ""
    owner: str = ""
    description: str = ""


class Source(msgspec.Struct, kw_only=True):
    """Where the endpoint finds one input of a model."""

    view: str
    field: str
    type: str
    ttl_seconds: float = 0


class ModelFeatures(msgspec.Struct, kw_only=True):
    """``features.json`` of a model's bundle: how the endpoint reads its inputs online.

    Attributes:
        service: the feature service.
        entity: the key of requests, such as ``robot-id``; empty: inputs stay in the payload.
        key: the join key in Feast.
        inputs: by the input's name in the model's signature.
        views: all views that the service uses.
    """

    service: str
    entity: str
    key: str
    inputs: dict[str, Source]
    project: str = PROJECT
    views: list[str] = []


class Check(msgspec.Struct, kw_only=True):
    """An expectation and what was found: ``check`` is ``minimum``, ``maximum``, ``max_missing`` or ``freshness``.

    Attributes:
        field: the field's name; empty for ``freshness``.
        value: what was found: the smallest or largest value, the share of missing values, or seconds; None: no values.
    """

    field: str
    check: str
    ok: bool
    value: float | None
    expected: float


class Written(msgspec.Struct, kw_only=True):
    """What became of rows that were posted to a view.

    Attributes:
        part: the file that was written; None: every row was there already.
        rows: rows that were posted.
        new: rows that were written: new ones and corrections.
    """

    part: str | None
    rows: int
    new: int
    checks: list[Check] = []


class Materialized(msgspec.Struct, kw_only=True):
    """What a materialisation did with a view.

    Attributes:
        read: rows of the parts that were not online.
        written: entities whose values are newer than what was online.
        older: entities whose values are older than what is online.
        rebuilt: Valkey had lost the view, so all its parts were read.
    """

    read: int
    written: int
    older: int
    seconds: float
    rebuilt: bool = False


class Pushed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of rows that were pushed.

    Attributes:
        written: rows that are online now.
        older: rows that are not: newer ones are online.
        computed: engineered views that were computed from these rows, and have them, too.
        stale: engineered views that use these columns and were not computed, because they use others, too.
    """

    written: int
    older: int
    computed: list[str] = []
    stale: list[str] = []


class Known(msgspec.Struct, kw_only=True):
    """The features of one entity in one view at a time; ``state`` is ``known``, ``expired`` or ``unknown``.

    Attributes:
        time: of these values, ISO 8601; None: unknown.
        features: by field; null is a missing value.
    """

    entity: str
    view: str
    time: str | None
    state: str
    features: dict[str, Any]


def slug(name: str) -> str:
    """Return a name that Feast accepts in references such as ``view:field``: letters, digits and underscores."""
    return re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_") or "x"


def is_reserved(name: str) -> bool:
    """Return whether no field can have this name; see ``RESERVED``."""
    return name.lower() in RESERVED or name.lower().endswith("_y")

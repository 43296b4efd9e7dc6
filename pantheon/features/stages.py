"""The stages of the workflow with the feature store: the hook that ``pantheon.worker`` and notebooks give to the graph.

The workflow's own functions (or those of PyCaret) still do the work, so a run gives the same model at every tier:

- ``load_data`` adds columns that come from the store (``stored`` in the spec), as known at each row's time.
- ``feature_engineering`` defines the views of the dataset and stores its rows.
- ``train`` makes a feature service of the columns that the model reads, and trains on what the store knew at each row's
  time. It writes ``features/store.json``, which becomes ``features.json`` of the model's bundle.
- ``deploy`` brings the features online.

If the store is away, the stage fails and the run can be continued later: everything sent can be sent again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.features import rows, training
from pantheon.features.client import Features
from pantheon.features.computing import code_of
from pantheon.features.contract import Chosen, ModelFeatures, Source, View, Written, slug
from pantheon.features.rows import Shape
from pantheon.features.stored import join_stored, source_of
from pantheon.features.views import references, views
from pantheon.files import write_json
from pantheon.state import read_settings
from pantheon.workflow import cancellation, graph
from pantheon.workflow.bundle.records import STORED
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.graph import Other
from pantheon.workflow.model_store import ModelStore
from pantheon.workflow.outputs import Engineered, Feature, Input, Preprocessed, Selected, Summary
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.stages.preprocess import described
from pantheon.workflow.training.encoding import matrix
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.origins import origins_of

VIEWS = "features/views.json"
DAY = 86_400.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Defined(msgspec.Struct, kw_only=True):
    """``features/views.json`` of a run: the views in which ``feature_engineering`` stored its rows.

    Attributes:
        key, entity, time: how rows are found; see ``Shape``.
        views: with the names that they have in the store.
    """

    key: str
    entity: str
    time: str
    views: list[View]


class Stages:
    """The hook; see ``graph.Hook``.

    Args:
        store: called for the client of the feature store; None: that of this process's deployment.
    """

    def __init__(self, store: Callable[[], Features] | None = None) -> None:
        self.store = store or Features.here

    def __call__(self, name: str, implementation: Other) -> Other:
        hooks: dict[str, Callable[..., Summary]] = {
            "load_data": self.load_data,
            "feature_engineering": self.feature_engineering,
            "train": self.train,
            "deploy": self.deploy,
        }
        return Other(implementation.by, partial(hooks[name], implementation)) if name in hooks else implementation

    def load_data(self, inner: Other, run: Run) -> Summary:
        """Load the data, then add the columns of the feature store to ``data/raw.parquet``."""
        summary = graph.call(inner, run, None)
        spec = load_spec(run)
        if spec.stored:
            with continuing(run):
                summary.setdefault("notes", []).extend(join_stored(self.store(), run, spec, service_of(spec, run)))
        return summary

    def feature_engineering(self, inner: Other, run: Run) -> Summary:
        """Engineer features, then define the views of the dataset and store its rows: ``features/views.json``."""
        summary = graph.call(inner, run, None)
        spec, inputs = load_spec(run), inputs_of(run)
        features = run.read("features/engineered.json", "feature_engineering", Engineered)["features"]
        frame, _ = observed(spec, rows.read_data(run))
        shape = rows.shape(spec, frame)
        keys = rows.keys(shape, frame, loaded(run, shape))
        cancellation.check()
        with continuing(run):
            store = self.store()
            applied = store.apply(planned(spec, shape, features, inputs, run))
            notes, new = [shape.line], 0
            for view in applied:
                if view.kind == "raw":
                    content = rows.raw(view, keys, frame)
                else:
                    X = matrix(frame, spec.features, origins_of(list(inputs)))
                    content = rows.engineered(view, keys, features, inputs, X)
                cancellation.check()
                written = store.write(view.name, rows.parquet(content), run.id)
                notes += broken(view, written)
                new = max(new, written.new)
        found = Defined(key=shape.key, entity=shape.entity, time=shape.time, views=applied)
        write_json(run.path(VIEWS), msgspec.to_builtins(found))
        summary |= {"views": [view.name for view in applied], "stored": new}
        summary.setdefault("notes", []).extend(notes)
        return summary

    def train(self, inner: Other, run: Run) -> Summary:
        """Choose the model's features in the store, then train on them as they were known at each row's time."""
        spec, inputs = load_spec(run), inputs_of(run)
        defined = read_as(run.need(VIEWS, "feature_engineering"), Defined)
        features = run.read("features/engineered.json", "feature_engineering", Engineered)["features"]
        selected = run.read("features/selected.json", "feature_selection", Selected)["columns"]
        read = {*selected, *(name for feature in features for name in feature["of"])}
        by_column = references(defined.views)
        wanted = {c.name: c.stored or by_column[c.name] for c in spec.features if c.name in read}
        wanted |= {feature["name"]: by_column[feature["name"]] for feature in features}
        frame, ours = observed(spec, rows.read_data(run))
        shape = Shape(defined.key, defined.entity, defined.time, "")
        asked = rows.asked(rows.keys(shape, frame, loaded(run, shape)))
        chosen = Chosen(
            name=service_of(spec, run),
            set=spec.name,
            features=list(dict.fromkeys(wanted.values())),
            run=run.id,
            owner=owner(spec, run),
            description=f"What the model of run {run.id} reads",
        )
        with continuing(run):
            store = self.store()
            service = store.choose(chosen)
            cancellation.check()
            answer = training.answered(store.historical(service, rows.parquet(asked)), frame.height, wanted)
            model = model_features(store, spec, defined, service, chosen)
        cancellation.check()
        known = training.known(spec, frame, answer, inputs, features)
        rewrite(run, spec, known, ours)
        summary = graph.call(inner, run, None)
        write_json(run.path(STORED), msgspec.to_builtins(model))
        summary |= {"service": service}
        summary.setdefault("notes", []).extend(known.notes(frame.height))
        return summary

    def deploy(self, inner: Other, run: Run, models: ModelStore | None) -> Summary:
        """Deploy, then bring the model's features online. If that fails, the deployment stands, and a note says it."""
        summary = graph.call(inner, run, models)
        if summary.get("decision") == "refused" or not run.path(STORED).exists():
            return summary
        model = read_as(run.path(STORED), ModelFeatures)
        if model.entity:
            try:
                self.store().materialize(model.views)
            except PantheonError as error:
                note = (
                    f"the model is deployed, but its newest features are not online yet: {error.cause} The next "
                    "materialisation brings them online, or now: `bin/pantheon features materialize`"
                )
                summary = {**summary, "notes": [*summary.get("notes", []), note]}
        return summary


# ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def continuing(run: Run) -> Iterator[None]:
    """Add to errors of the feature store how to continue the run."""
    try:
        yield
    except PantheonError as error:
        cure = f"{error.cure} Then continue: `run --resume {run.id}`".strip()
        raise PantheonError(error.cause, cure, error.status) from error


def service_of(spec: Spec, run: Run) -> str:
    """Return the name of a run's feature service."""
    return f"{slug(spec.name)}_{slug(run.id)}"


def inputs_of(run: Run) -> list[Input]:
    return run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]


def observed(spec: Spec, frame: pl.DataFrame) -> tuple[pl.DataFrame, "np.ndarray[Any, np.dtype[np.bool_]]"]:
    """Return the rows that were observed, and which of all rows they are.

    Users' feedback (``split.train_only``) is not an observation: its inputs were read from the log, as they were used.
    """
    mark = spec.split.train_only
    ours = ~frame[mark].fill_null(False).to_numpy() if mark else np.ones(frame.height, bool)
    return frame.filter(pl.Series(ours)), ours


def loaded(run: Run, shape: Shape) -> datetime:
    """Return the time of rows without a time column: when the run was asked for, so that a repeated stage stores the
    same rows. Without an entity, rows are known by their content, and have one time for ever."""
    return datetime.fromisoformat(run.record.created) if shape.entity else EPOCH


def owner(spec: Spec, run: Run) -> str:
    """Return who answers questions about the features: as the spec says, else who brought the deployment up."""
    settings = read_settings(run.state)
    return spec.store.owner or (settings.owner if settings else "")


def planned(spec: Spec, shape: Shape, features: Sequence[Feature], inputs: Sequence[Input], run: Run) -> list[View]:
    """Return the views of a run's dataset."""
    store, named = spec.store, without_origins(features, inputs)
    found = views(spec, shape, named, owner=owner(spec, run), run=run.id, ttl_seconds=store.ttl_days * DAY)
    for view in found:
        view.freshness_seconds = store.freshness_days * DAY
        view.code = code_of(features, inputs) if view.kind == "engineered" else None
    return found


def without_origins(features: Sequence[Feature], inputs: Sequence[Input]) -> list[Feature]:
    """Return features as expressions of the original values. An origin depends on the data: with it, the same code
    would make another view for every file."""
    given = origins_of(list(inputs))
    return [{**feature, "expression": _without(feature["expression"], given)} for feature in features]


def _without(tree: Any, given: dict[str, float]) -> Any:
    match tree:
        case ["add", ["column", name], ["number", origin]] if given.get(name) == origin:
            return ["column", name]
        case [op, *parts]:
            return [op, *(_without(part, given) if isinstance(part, list) else part for part in parts)]
    return tree


def broken(view: View, written: Written) -> list[str]:
    """Return a sentence for every expectation that the rows do not meet."""
    return [
        f"the feature store: {view.name}:{check.field} breaks an expectation: {check.check.replace('_', ' ')} is "
        f"{check.value:g}, expected {check.expected:g}"
        if check.value is not None
        else f"the feature store: {view.name}:{check.field} has no values"
        for check in written.checks
        if not check.ok
    ]


def model_features(store: Features, spec: Spec, defined: Defined, service: str, chosen: Chosen) -> ModelFeatures:
    """Return where each input of the model's signature is in the store."""
    raw = next(view for view in defined.views if view.kind == "raw")
    fields = {field.column: field for field in raw.fields}
    inputs: dict[str, Source] = {}
    for column in spec.features if defined.entity else []:
        if column.stored:
            inputs[column.name] = source_of(store, column, defined.key)
        else:
            field = fields[column.name]
            inputs[column.name] = Source(view=raw.name, field=field.name, type=field.type, ttl_seconds=raw.ttl_seconds)
    used = [feature.partition(":")[0] for feature in chosen.features]
    return ModelFeatures(
        service=service, entity=defined.entity, key=defined.key, inputs=inputs, views=list(dict.fromkeys(used))
    )


def rewrite(run: Run, spec: Spec, known: training.Known, ours: "np.ndarray[Any, np.dtype[np.bool_]]") -> None:
    """Write ``features/{train,test}.npz`` again, and, if values differ from the file, what is known of the inputs."""
    tables, start = {}, 0
    place = np.cumsum(ours) - 1  # of an observed row among them
    for part in ("train", "test"):
        table = Table.load(run.need(f"features/{part}.npz", "preprocess"))
        here = slice(start, start + len(table))
        X = table.X.copy()
        X[ours[here]] = known.X[place[here][ours[here]]]
        tables[part] = replace(table, X=X)
        start += len(table)
        with run.output(f"features/{part}.npz") as path:
            tables[part].save(path)
    if known.rows:
        given = origins_of(inputs_of(run))
        write_json(run.path("features/preprocess.json"), described(run, spec, tables["train"], tables["test"], given))

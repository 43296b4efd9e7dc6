"""The functions for notebooks: open a run, run its stages, show the results, and publish through the same gate.

They call the same functions as the command line, Airflow and the dataflow, so a run gives the same model wherever its
stages run. Numeric libraries are not imported before ``open_run`` has set the number of threads.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon import versioning, worker
from pantheon.errors import PantheonError
from pantheon.files import atomic, read_json
from pantheon.jupyter.client import TEMPORARY
from pantheon.state import published
from pantheon.workflow import datasets, graph, take
from pantheon.workflow.run import Params, Run

if TYPE_CHECKING:
    import polars as pl

NUMERIC = ("numpy", "polars", "sklearn")  # they take the number of threads when they are imported
ETL = ("load_data", "clean_data", "split_data", "preprocess")
MAX_FIGURES = 4  # figures of a stage's summary in its line


def open_run(name: str = "latest") -> Run:
    """Open the run called ``name``; ``latest`` is the newest.

    Raises:
        PantheonError: there is no such run, or this kernel uses another number of threads than the run requires.
    """
    run = Run.find(worker.state_folder(), name)
    _fix_threads(run.params)
    requested = run.record
    done = [stage for stage in graph.GRAPH if _is_done(run, stage)]
    last = done[-1] if done else "nothing yet"
    print(f"run {run.id} of {requested.dataset}, made at {requested.tier or 'no tier'}; done up to: {last}")
    return run


def _fix_threads(params: Params) -> None:
    """Set the run's number of threads, so that floats are summed in the same order everywhere."""
    now, wanted = os.environ.get("OMP_NUM_THREADS"), str(params.threads)
    if now != wanted and any(name in sys.modules for name in NUMERIC):
        raise PantheonError(
            f"this kernel uses {now or 'all'} threads, but the run requires {wanted}.",
            "Restart the kernel (Kernel → Restart Kernel) and run the cells from the first.",
        )
    worker.fix_threads(params)


def stage(run: Run, name: str, again: bool = False, other: graph.Other | None = None) -> None:
    """Run one stage of the run and print its result in one line.

    A stage that is done and up to date is skipped, so it is harmless to run all cells of a notebook on a finished run.
    ``again=True`` runs it anyway; the same seed gives the same result. ``other`` is an implementation to use instead of
    the workflow's function.

    Raises:
        PantheonError: the stage fails, or another process works on it.
    """
    if is_current(run, name, other.by if other else "") and not again:
        record = run.records()[name]
        print(f"{name}: done {record.finished[:16].replace('T', ' ')} UTC · {_line(record.summary)}")
    else:
        graph.run_single(name, run, worker.open_store(run.state), other=other, hook=worker.hook(run.state))
        record = run.records()[name]
        print(f"{name}: {record.seconds:.1f} s · {_line(record.summary)}")
    for note in record.notes:
        print(f"! {note}")


def is_current(run: Run, name: str, by: str = "") -> bool:
    """Whether the stage is done (by the implementation ``by``, if given), and its inputs have not changed since."""
    graph.check_stage(name)
    records = run.records()
    mine = records.get(name)
    if not mine or mine.state != "done" or by not in ("", mine.by):
        return False
    before = (records.get(need) for need in graph.GRAPH[name])
    return all(need and need.state == "done" and need.finished <= mine.started for need in before)


def deploy(run: Run) -> None:
    """Publish the run's model through the same gate as everywhere; print the decision and its reason."""
    versioning.record(run)  # a version names the commit of its data and parameters
    stage(run, "deploy")
    outcome = run.outcome
    if outcome:
        version = f", version {outcome.version}" if outcome.version else ""
        print(f"{outcome.decision}: {outcome.model}{version}\n{outcome.reason}")


def version(run: Run) -> None:
    """Record the run in the deployment's repository with DVC, once, and print where.

    Raises:
        PantheonError: the repository has an unfinished operation of yours, or the store does not answer.
    """
    print(versioning.line(run))


def read(run: Run, name: str) -> Any:
    """Read one of the run's JSON files, such as ``metrics.json``."""
    path = run.path(name)
    if not path.exists():
        raise PantheonError(f"{name} is missing from run {run.id}.", "Run the cell of the stage that writes it.")
    return read_json(path)


# Data -----------------------------------------------------------------------------------------------------------------


def rows(run: Run, part: str = "train", engineered: bool = True) -> "pl.DataFrame":
    """Return a part of the data (``train`` or ``test``) that the models get, in readable form.

    Returns:
        One row per observation: the inputs (categories as text, dates as dates), the engineered features if they exist,
        and the target (display names of classes).
    """
    import numpy as np
    import polars as pl

    from pantheon.workflow.expressions import evaluate
    from pantheon.workflow.training.encoding import DAY_MS
    from pantheon.workflow.training.matrix import Table, load_spec
    from pantheon.workflow.training.origins import original

    _format_tables()
    spec, inputs = load_spec(run), read(run, "features/preprocess.json")["inputs"]
    table = Table.load(run.need(f"features/{part}.npz", "preprocess"))
    columns: dict[str, Any] = {}
    for entry, values in zip(inputs, table.X.T, strict=True):
        column = pl.Series(original(values, entry)).fill_nan(None)
        column = column if "origin" in entry else column.round_sig_figs(7)  # the precision of float32
        if entry["type"] == "category":
            places = dict(enumerate(entry["categories"]))
            column = column.cast(pl.Int64).replace_strict(places, default=None, return_dtype=pl.String)
        elif entry["type"] == "date":
            moments = pl.Series(original(values, entry)).fill_nan(None) * DAY_MS
            column = moments.round().cast(pl.Int64).cast(pl.Datetime("ms"))
            column = column if spec.column(entry["name"]).has_time else column.cast(pl.Date)
        elif entry["type"] in ("boolean", "integer"):
            column = column.cast(pl.Boolean if entry["type"] == "boolean" else pl.Int64)
        columns[entry["name"]] = column
    if engineered and _is_done(run, "feature_engineering"):
        floats = {entry["name"]: values for entry, values in zip(inputs, table.X.T, strict=True)}
        for feature in read(run, "features/engineered.json")["features"]:
            computed = evaluate(feature["expression"], floats)
            columns[feature["name"]] = pl.Series(np.asarray(computed, np.float64)).fill_nan(None)
    target = pl.Series(table.y)
    if spec.task == "classification":
        target = target.replace_strict(dict(enumerate(spec.class_names)), return_dtype=pl.String)
    return pl.DataFrame(columns | {spec.target.column: target})


def target(run: Run) -> str:
    """Return the name of the target column."""
    from pantheon.workflow.training.matrix import load_spec

    return load_spec(run).target.column


def more_is_better(run: Run) -> bool:
    """Whether greater is better for the run's metric; it is not for errors."""
    from pantheon.workflow.training.matrix import load_spec
    from pantheon.workflow.training.metrics import primary

    return primary(load_spec(run).task, run.params.metric)[1]


def table(entries: Iterable[Mapping[str, Any]], *columns: str) -> "pl.DataFrame":
    """Show entries as a table: all columns or the named ones, numbers with four digits, lists as text."""
    import polars as pl

    _format_tables()
    shown = [{key: _cell(entry.get(key)) for key in columns or entry} for entry in entries]
    return pl.DataFrame(shown, infer_schema_length=None) if shown else pl.DataFrame(schema=list(columns))


def _format_tables() -> None:
    """Show tables without types and shapes, and long texts in full."""
    import polars as pl

    pl.Config.set_tbl_rows(50).set_tbl_cols(20).set_fmt_str_lengths(120)
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items()) or "defaults"
    return ", ".join(str(_cell(item)) for item in value) if isinstance(value, list | tuple) else value


def pictures(run: Run) -> None:
    """Show the plots of an evaluation, as on the web page, in one figure."""
    import matplotlib.pyplot as plt
    import numpy as np

    from pantheon.workflow.outputs import CHOSEN
    from pantheon.workflow.training import plots
    from pantheon.workflow.training.matrix import load_spec

    spec, metrics = load_spec(run), read(run, "metrics.json")
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        y, answer = file["y"], file[CHOSEN]
    draw: list[Any] = []
    if spec.task == "classification":
        classes, positive = spec.class_names, spec.positive_index
        shown = [positive] if len(classes) == 2 else [c for c in range(len(classes)) if 0 < np.sum(y == c) < len(y)]
        draw += [lambda ax: plots.confusion(ax, np.array(metrics["confusion"]), classes)]
        draw += [lambda ax: plots.roc(ax, y, answer, classes, shown[: len(plots.COLOURS)])] if shown else []
        draw += [lambda ax: plots.calibrated(ax, metrics["calibration"], classes, positive)]
    else:
        draw += [lambda ax: plots.predicted(ax, y, answer, spec.target.column)]
        draw += [lambda ax: plots.residuals(ax, y, answer, spec.target.column)]
    if metrics["importance"]:
        draw += [lambda ax: plots.importance(ax, metrics["importance"][:10], metrics["primary"]["name"])]
    down = (len(draw) + 1) // 2
    figure = plt.figure(figsize=(11, 4.4 * down), layout="constrained")
    places = np.ravel(np.asarray(figure.subfigures(down, 2)))
    for paint, place in zip(draw, places, strict=False):
        paint(place.subplots())
    plt.show()


# Your own data --------------------------------------------------------------------------------------------------------


def infer(file: str, column: str, again: bool = False) -> str:
    """Infer the spec of a file in the folder ``data`` (or one that ships with Pantheon), to predict ``column``.

    An existing spec of this file and column is kept: you may have edited it. ``again=True`` infers the columns again,
    and keeps your edits where they still apply.

    Returns:
        The name of the dataset; its spec is ``data/NAME.toml``.

    Raises:
        PantheonError: there is no such file or column, or it has nothing to learn from.
    """
    _fix_threads(Params())
    folder = worker.state_folder() / "data"
    source = folder / Path(file).name
    if not source.exists():
        shipped = datasets.SHIPPED / Path(file).name
        if not shipped.is_file():
            there = ", ".join(sorted(path.name for path in folder.glob("*") if path.suffix != ".toml")) or "nothing"
            raise PantheonError(f"there is no file {file} in data/.", f"Drop it there; there now: {there}.")
        with atomic(source) as part:
            shutil.copyfile(shipped, part)
    taken = take.take_here(worker.state_folder(), source.name, column, "again" if again else "")
    for note in taken.notes:
        print(f"! {note}")
    print(f"the spec of {taken.name}: data/{taken.name}.toml")
    return taken.name


def columns(dataset: str) -> "pl.DataFrame":
    """Return the columns of the dataset's spec, as a table."""
    from pantheon.workflow.data.spec_file import read_spec

    spec = read_spec(datasets.spec_of(worker.state_folder(), dataset))
    return table({"column": c.name, "type": c.type, "role": c.role, "why": c.why} for c in spec.columns)


def new_run(dataset: str, **params: Any) -> Run:
    """Start a new run of a dataset: load, clean, split and preprocess its data.

    Args:
        params: those of the command line: ``trials=5``, ``seed=1`` …

    Raises:
        PantheonError: there is no such dataset or parameter, or the data violates its spec.
    """
    state = worker.state_folder()
    requested = Params.read(params)
    _fix_threads(requested)
    spec = datasets.spec_of(state, dataset).read_text(encoding="utf-8")
    run = Run.create(state, spec, dataset, requested, tier=published(state).tier, runner="graph")
    print(f"run {run.id} of {dataset}")
    for name in ETL:
        stage(run, name)
    return run


# ----------------------------------------------------------------------------------------------------------------------


def _is_done(run: Run, name: str) -> bool:
    record = run.records().get(name)
    return record is not None and record.state == "done"


def _line(summary: Mapping[str, Any]) -> str:
    figures = [(key.replace("_", " "), value) for key, value in summary.items() if value not in ("", [], {}, None)]
    return " · ".join(f"{key} {_cell(value)}" for key, value in figures[:MAX_FIGURES])


warnings.filterwarnings("ignore", message="IProgress not found")  # Optuna's progress bars are not used


def _in_lines(error: PantheonError) -> list[str]:
    return [str(error)] if error.status == 2 else [str(error), TEMPORARY]


# IPython's hook: show a PantheonError as one line, cause and cure, without a traceback.
PantheonError._render_traceback_ = _in_lines  # type: ignore[attr-defined]

"""What the notebooks call: open a run, do a stage of it, look at what came out, publish through the same gate.

Everything is done by the functions that the command line, Airflow and the dataflow call too, so the same run gives the
same model wherever its stages are done. Nothing numeric is imported before ``open_run`` has fixed the threads.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon import tasks, versioning
from pantheon.errors import PantheonError
from pantheon.jupyter_jobs import PASSES
from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run, read_json

if TYPE_CHECKING:
    import polars as pl

NUMERIC = ("numpy", "polars", "sklearn")  # they take the number of threads when they are imported
ETL = ("load_data", "clean_data", "split_data", "preprocess")
SHOWN = 4  # figures of a stage's summary in its line


def open_run(name: str = "latest") -> Run:
    """The run called ``name``, or the newest.

    Raises:
        PantheonError: there is none; or this kernel counts with another number of threads than the run asks for.
    """
    run = Run.find(tasks.state_folder(), name)
    _fix_threads(run.params)
    asked = run.asked
    done = [stage for stage in graph.GRAPH if _is_done(run, stage)]
    last = done[-1] if done else "nothing yet"
    print(f"run {run.id} of {asked['dataset']}, made at {asked['tier'] or 'no tier'}; done up to: {last}")
    return run


def _fix_threads(params: Params) -> None:
    """The same number of threads everywhere adds floats in the same order."""
    now, wanted = os.environ.get("OMP_NUM_THREADS"), str(params.threads)
    if now != wanted and any(name in sys.modules for name in NUMERIC):
        raise PantheonError(
            f"this kernel counts with {now or 'all'} threads and the run with {wanted}.",
            "Restart the kernel (Kernel → Restart Kernel) and run the cells from the first.",
        )
    tasks.fix_threads(params)


def stage(run: Run, name: str, again: bool = False, other: graph.Other | None = None) -> None:
    """Do one stage of the run and say in a line how it went.

    A stage that is done already, on what lies there now, is left as it is: to run all cells of a notebook on a run that
    is finished is harmless. ``again=True`` does it all the same; the same seed then gives the same result. ``other``
    does it instead of the workflow's own function.

    Raises:
        PantheonError: as the stage says; or another process works on it.
    """
    if is_current(run, name, other.by if other else "") and not again:
        record = run.stages()[name]
        print(f"{name}: done {record['finished'][:16].replace('T', ' ')} UTC · {_words(record['summary'])}")
        return
    summary = graph.run_single(name, run, tasks.open_store(run.state), other=other)
    print(f"{name}: {run.stages()[name]['seconds']:.1f} s · {_words(summary)}")


def is_current(run: Run, name: str, by: str = "") -> bool:
    """Whether the stage is done (``by`` somebody, where that matters) and nothing that it reads was made anew since."""
    graph.known(name)
    stages = run.stages()
    mine = stages.get(name)
    if not mine or mine["state"] != "done" or by not in ("", mine.get("by")):
        return False
    before = (stages.get(need) for need in graph.GRAPH[name])
    return all(need and need["state"] == "done" and need["finished"] <= mine["started"] for need in before)


def deploy(run: Run) -> None:
    """Publish the run's model, through the same gate as everywhere, and say what the gate decided and why."""
    versioning.record(run)  # a version names the commit of its data and parameters
    stage(run, "deploy")
    outcome = read(run, "outcome.json")
    version = f", version {outcome['version']}" if outcome["version"] else ""
    print(f"{outcome['decision']}: {outcome['model']}{version}\n{outcome['reason']}")


def version(run: Run) -> None:
    """Record the run in the deployment's repository, with DVC, and say where; once is enough.

    Raises:
        PantheonError: something of yours there is not finished, or the store does not answer.
    """
    print(versioning.line(run))


def read(run: Run, name: str) -> Any:
    """One of the run's JSON files, such as ``metrics.json``."""
    path = run.path(name)
    if not path.exists():
        raise PantheonError(f"{name} is missing from run {run.id}.", "Run the cell of the stage that makes it.")
    return read_json(path)


# Data -----------------------------------------------------------------------------------------------------------------


def rows(run: Run, part: str = "train", engineered: bool = True) -> "pl.DataFrame":
    """A part of the data (``train`` or ``test``) as the models see it, in words again.

    Returns:
        One row an observation: the inputs (categories as text, dates as dates), what was engineered of them where that
        is done, and the target (classes as people call them).
    """
    import numpy as np
    import polars as pl

    from pantheon.workflow.expressions import evaluate
    from pantheon.workflow.matrix import DAY_MS, Table, load_spec
    from pantheon.workflow.spec import label_key

    _format_tables()
    spec, inputs = load_spec(run), read(run, "features/preprocess.json")["inputs"]
    table = Table.load(run.need(f"features/{part}.npz", "preprocess"))
    columns: dict[str, Any] = {}
    for entry, values in zip(inputs, table.X.T, strict=True):
        column = pl.Series(values.astype(np.float64)).fill_nan(None).round_sig_figs(7)  # all that a float32 has
        if entry["type"] == "category":
            places = dict(enumerate(entry["categories"]))
            column = column.cast(pl.Int64).replace_strict(places, default=None, return_dtype=pl.String)
        elif entry["type"] == "date":
            moments = pl.Series(values.astype(np.float64)).fill_nan(None) * DAY_MS
            column = moments.cast(pl.Int64).cast(pl.Datetime("ms"))
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
        words = [spec.target.labels.get(label_key(value), label_key(value)) for value in spec.target.classes]
        target = target.replace_strict(dict(enumerate(words)), return_dtype=pl.String)
    return pl.DataFrame(columns | {spec.target.column: target})


def target(run: Run) -> str:
    """The name of the column that is predicted."""
    from pantheon.workflow.matrix import load_spec

    return load_spec(run).target.column


def more_is_better(run: Run) -> bool:
    """Whether more of the run's metric is better; of an error it is less."""
    from pantheon.workflow.matrix import load_spec
    from pantheon.workflow.metrics import primary

    return primary(load_spec(run).task, run.params.metric)[1]


def table(entries: Iterable[Mapping[str, Any]], *columns: str) -> "pl.DataFrame":
    """Entries as a table to look at: all of them or the ``columns`` named, numbers with four digits, lists as text."""
    import polars as pl

    _format_tables()
    shown = [{key: _cell(entry.get(key)) for key in columns or entry} for entry in entries]
    return pl.DataFrame(shown, infer_schema_length=None) if shown else pl.DataFrame(schema=list(columns))


def _format_tables() -> None:
    """Tables without their types and shapes, and with long texts whole."""
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
    """The pictures of an evaluation: as on the page, in one figure."""
    import matplotlib.pyplot as plt
    import numpy as np

    from pantheon.workflow import plots
    from pantheon.workflow.evaluate import CHOSEN
    from pantheon.workflow.matrix import load_spec
    from pantheon.workflow.performance_metrics import positive_index, words

    spec, metrics = load_spec(run), read(run, "metrics.json")
    with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
        y, answer = file["y"], file[CHOSEN]
    draw: list[Any] = []
    if spec.task == "classification":
        classes, positive = words(spec), positive_index(spec)
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


# A problem of one's own -----------------------------------------------------------------------------------------------


def infer(file: str, column: str) -> str:
    """Work out the spec of a file in the folder ``data`` (or one that ships with Pantheon), to predict ``column``.

    A spec that is there for this column is kept: you may have edited it. Delete it to have it worked out anew.

    Returns:
        The name of the dataset; its spec is ``data/NAME.toml``.

    Raises:
        PantheonError: there is no such file or column, or nothing can be learnt of it.
    """
    from pantheon.workflow.infer import infer_spec
    from pantheon.workflow.run import atomic
    from pantheon.workflow.spec import Spec

    _fix_threads(Params())
    folder = tasks.state_folder() / "data"
    source = folder / Path(file).name
    if not source.exists():
        shipped = Path(tasks.__file__).resolve().parent.parent / "datasets" / Path(file).name
        if not shipped.is_file():
            there = ", ".join(sorted(path.name for path in folder.glob("*") if path.suffix != ".toml")) or "nothing"
            raise PantheonError(f"there is no file {file} in data/.", f"Drop it there; there now: {there}.")
        with atomic(source) as part:
            shutil.copyfile(shipped, part)
    name = source.stem.lower().replace(" ", "-").replace("_", "-")
    path = folder / f"{name}.toml"
    if not path.exists() or Spec.read(path).target.column != column:
        with atomic(path) as part:
            part.write_text(infer_spec(source, column, name).dump(), encoding="utf-8")
    print(f"the spec of {name}: data/{name}.toml")
    return name


def columns(dataset: str) -> "pl.DataFrame":
    """What the dataset's spec says of each column, as a table."""
    from pantheon.workflow.spec import Spec

    spec = Spec.read(tasks.spec_of(tasks.state_folder(), dataset))
    return table({"column": c.name, "type": c.type, "role": c.role, "why": c.why} for c in spec.columns)


def new_run(dataset: str, **params: Any) -> Run:
    """A new run of a dataset, its data loaded, cleaned, split and preprocessed.

    Args:
        params: as the command line has them: ``trials=5``, ``seed=1`` …

    Raises:
        PantheonError: there is no such dataset or parameter, or the data breaks the contract that its spec states.
    """
    state = tasks.state_folder()
    asked = Params.read(params)
    _fix_threads(asked)
    spec = tasks.spec_of(state, dataset).read_text(encoding="utf-8")
    settings = state / "state" / "deployment.json"
    tier = read_json(settings)["tier"] if settings.exists() else ""
    run = Run.create(state, spec, dataset, asked, tier=tier, runner="graph")
    print(f"run {run.id} of {dataset}")
    for name in ETL:
        stage(run, name)
    return run


# ----------------------------------------------------------------------------------------------------------------------


def _is_done(run: Run, name: str) -> bool:
    return run.stages().get(name, {}).get("state") == "done"


def _words(summary: Mapping[str, Any]) -> str:
    told = [(key.replace("_", " "), value) for key, value in summary.items() if value not in ("", [], {}, None)]
    return " · ".join(f"{key} {_cell(value)}" for key, value in told[:SHOWN])


warnings.filterwarnings("ignore", message="IProgress not found")  # Optuna's progress bars are not asked for


def _in_lines(error: PantheonError) -> list[str]:
    return [str(error)] if error.status == 2 else [str(error), PASSES]


# IPython's own hook: our errors are shown as the line that they are, cause and cure, without a traceback.
PantheonError._render_traceback_ = _in_lines  # type: ignore[attr-defined]

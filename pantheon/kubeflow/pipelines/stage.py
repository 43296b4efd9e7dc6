"""What the components of the pipeline ``workflow`` do, in the process of a step: run a stage, and hand on its results.

A component is one function whose source is in the compiled pipeline; it calls these functions, which are in the image
of a step, or, without a cluster, in the Python that runs it.
"""

import html
import importlib
import json
import os
import shutil
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from pantheon.errors import PantheonError
from pantheon.files import remove_parts
from pantheon.kubeflow import owned, training, tuning
from pantheon.workflow import locks
from pantheon.workflow.outputs import Comparison, Metrics, Selection, Trained, Tuning
from pantheon.workflow.run import Run

FILES = {
    "raw": "data/raw.parquet",
    "clean": "data/clean.parquet",
    "train_rows": "data/train.parquet",
    "test_rows": "data/test.parquet",
    "matrix": "features/train.npz",
    "engineered": "features/engineered.json",
    "selected": "features/selected.json",
    "candidates": "candidates.json",
    "selection": "selection.json",
    "tuning": "tuning.json",
    "chosen": "evaluation/chosen.joblib",
    "comparison": "comparison.json",
    "model": "bundle/model.onnx",
}
"""The name of an artifact of the pipeline → the file in the run's folder that it is."""
REPORT = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em; max-width: 60em }} td, th {{ padding: .2em 1em .2em 0;
text-align: left }} td + td {{ font-variant-numeric: tabular-nums }} svg {{ max-width: 100% }}</style>
<h1>{title}</h1>
{body}
</html>
"""


def begin(run: str, dataset: str, tier: str, **params: Any) -> None:
    """Make the run, if it does not exist; remove what a process that was killed left in it."""
    worker = importlib.import_module("pantheon.worker")
    request = {"dataset": dataset, "params": params, "tier": tier, "runner": "graph"}
    request["by"] = owned.by()
    tidy(worker.ensured(state(), run, json.dumps(request)))


def state() -> Path:
    folder: Path = importlib.import_module("pantheon.worker").state_folder()
    return folder


def find(run: str) -> Run:
    return Run.find(state(), run)


def stage(name: str, run: str, **artifacts: Any) -> dict[str, Any]:
    """Run one stage of a run, as ``python -m pantheon.worker stage NAME --run RUN`` does; train as a TrainJob.

    Args:
        artifacts: of the component: each gets the stage's file of this name, and the stage's figures as metadata.

    Returns:
        The stage's figures.

    Raises:
        PantheonError: the stage failed.
    """
    if name == training.STAGE and os.environ.get("KUBEFLOW_URL"):  # a service that runs TrainJobs
        training.train(find(run))
    else:
        in_this_process(name, run)
    current = find(run)
    for key, artifact in artifacts.items():
        hand_on(current.path(FILES[key]), artifact)
        artifact.metadata.update(about(current, name))
    return dict(current.records()[name].summary)


def about(run: Run, stage: str) -> dict[str, Any]:
    """Return what an artifact says of the stage that made it: its figures, and notes."""
    record = run.records()[stage]
    notes = {"notes": list(record.notes)} if record.notes else {}
    return flat({**record.summary, **notes}) | {"run": run.id, "stage": stage}


def in_this_process(name: str, run: str) -> None:
    worker: Any = importlib.import_module("pantheon.worker")

    def say(event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            figures = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in event.get("summary", {}).items())
            notes = [*event.get("notes", []), event.get("error", "")]
            print(". ".join(filter(None, [f"{event['stage']} {event['state']}", figures, *notes])), flush=True)

    worker.report = say  # events are for a command line that reads them; this is the log of a step
    if os.environ.get("KUBEFLOW_URL"):  # a service that runs Experiments
        of_worker = worker.hook
        worker.hook = lambda state: tuning.hook(of_worker(state))
    given = worker.parser().parse_args(["stage", name, "--run", run])
    given.call(given)


def hand_on(source: Path, artifact: Any) -> None:
    """Make a stage's file an artifact, without a copy where the file system can.

    The stages replace files and never write into them, so a later attempt does not change an artifact.
    """
    if not source.exists():  # such as the model of a run that the gate refused
        return
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)


def flat(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, int | float | str) else json.dumps(value) for key, value in figures.items()}


def families(run: str) -> list[str]:
    """Return the families of models that were fitted."""
    return list(find(run).read("candidates.json", "train", Trained)["candidates"])


def family(run: str, name: str, metrics: Any, report: Any) -> None:
    """Log how one family of models did in cross-validation and tuning."""
    current = find(run)
    selection = current.read("selection.json", "model_selection", Selection)
    tuning = current.read("tuning.json", "hyperparameter_tuning", Tuning)
    ranked = next(entry for entry in selection["ranking"] if entry["name"] == name)
    rows: dict[str, Any] = {
        f"{selection['metric']}, default parameters": ranked["mean"],
        "standard deviation": ranked["std"],
    }
    found = tuning["families"].get(name)
    best = found["best"] if found else None
    if best:
        rows[f"{selection['metric']}, tuned"] = sum(best["folds"]) / len(best["folds"])
        rows |= {f"best {key}": value for key, value in best["params"].items()}
    log(metrics, rows)
    scores = [trial["mean"] for trial in found["trials"]] if found else []
    metrics.metadata["curves"] = {
        f"folds/{name}": ranked["folds"],
        f"tuning/{name}": scores,
        f"best-so-far/{name}": list(accumulate(scores, max if selection["greater_is_better"] else min)),
    }  # for TensorBoard
    write_report(report, f"{name} on {current.record.dataset}", table(rows))


def performance(run: str, metrics: Any, report: Any) -> None:
    """Log the figures of the chosen model, and draw its report."""
    current = find(run)
    found = current.read("metrics.json", "performance_metrics", Metrics)
    log(metrics, {key: value for key, value in found["held_out"].items() if value is not None})
    plots = [path.read_text(encoding="utf-8") for path in sorted(current.path("plots").glob("*.svg"))]
    drawings = "\n".join(f"<figure>{plot[plot.index('<svg') :]}</figure>" for plot in plots if "<svg" in plot)
    report.metadata.update(about(current, "performance_metrics"))
    title = f"{found['chosen']} on {current.record.dataset}"
    write_report(report, title, f"{table(found['held_out'])}\n{drawings}")


def gate(run: str) -> tuple[str, str]:
    """Return the gate's decision about the chosen model, promoted, challenger or refused, and its reason."""
    from pantheon.workflow.training.gate import judge

    current = find(run)
    return judge(current.read("comparison.json", "model_comparison", Comparison), current.params.approval)


def deploy(run: str, model: Any) -> str:
    """Run the stage deploy, which asks the gate again and publishes the model; return its decision."""
    summary = stage("deploy", run, model=model)
    return str(summary["decision"])


def refuse(run: str) -> str:
    """Record that the gate refused the model: the stage deploy publishes nothing then. Return its decision."""
    return str(stage("deploy", run)["decision"])


def finish(run: str, state_of_run: str, message: str) -> None:
    """Record the end of the run, whatever happened: no stage is said to run, and no incomplete file is left.

    The kernel frees the locks of processes that have ended.
    """
    try:
        current = find(run)
    except PantheonError as error:  # it failed before the run was made
        print(f"{state_of_run}: {message or error}")
        return
    for record in current.records().values():
        if record.state == "running":
            current.mark(structs.replace(record, state="interrupted", error=message))
    tidy(current)
    outcome = current.outcome
    print(f"{state_of_run}: {message or (msgspec.to_builtins(outcome) if outcome else 'no outcome')}")


def tidy(run: Run) -> None:
    if not locks.is_held(run):
        remove_parts(run.folder)


def log(metrics: Any, figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        metrics.log_metric(key, value)


def table(figures: dict[str, Any]) -> str:
    rows = (f"<tr><th>{html.escape(str(key))}<td>{html.escape(_figure(value))}" for key, value in figures.items())
    return f"<table>{''.join(rows)}</table>"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_report(report: Any, title: str, body: str) -> None:
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(REPORT.format(title=html.escape(title), body=body), encoding="utf-8")

"""The stages, what each waits for, and the two ways to run them: a script of five steps, and a graph."""

import importlib
import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from pantheon.errors import PantheonError
from pantheon.workflow.locks import exclusive, single
from pantheon.workflow.run import Run, now

__all__ = [
    "GRAPH",
    "RUNNERS",
    "SCRIPT",
    "Other",
    "exclusive",
    "run_graph",
    "run_script",
    "run_single",
    "run_stage",
    "single",
]

# Stage -> the stages whose outputs it reads. One inside the other, they are the paths of the tiers' diagrams.
GRAPH: dict[str, tuple[str, ...]] = {
    "load_data": (),
    "clean_data": ("load_data",),
    "split_data": ("clean_data",),
    "preprocess": ("split_data",),
    "feature_engineering": ("preprocess",),
    "feature_selection": ("preprocess",),
    "train": ("feature_engineering", "feature_selection"),
    "model_selection": ("train",),
    "hyperparameter_tuning": ("train",),
    "evaluate": ("model_selection", "hyperparameter_tuning"),
    "performance_metrics": ("evaluate",),
    "model_comparison": ("evaluate",),
    "deploy": ("performance_metrics", "model_comparison"),
}

# Persephone's five steps.
SCRIPT: dict[str, tuple[str, ...]] = {
    "data": ("load_data", "clean_data", "split_data"),
    "preprocess": ("preprocess", "feature_engineering", "feature_selection"),
    "train": ("train", "model_selection", "hyperparameter_tuning"),
    "evaluate": ("evaluate", "performance_metrics", "model_comparison"),
    "deploy": ("deploy",),
}

Report = Callable[[dict[str, Any]], None]

# Held while a stage's state is written and told. Whoever ends this process takes it and keeps it: a stage whose files
# are cleared up under it must not call that a failure.
marking = threading.Lock()


@dataclass(frozen=True)
class Other:
    """Another way to do a stage, which writes the same outputs.

    Attributes:
        by: who does it; the stage's record says so.
        work: called with the run; gives the stage's summary.
    """

    by: str
    work: Callable[..., dict[str, Any]]


def run_stage(
    name: str, run: Run, store: Any, report: Report = lambda event: None, other: Other | None = None
) -> dict[str, Any]:
    """Run one stage on its run's folder and record how it went.

    Args:
        name: a key of ``GRAPH``.
        run: the folder to read from and write to.
        store: the model store, for the stages that compare with it or publish to it.
        report: is told ``{"event": "stage", "stage", "state", …}`` at the begin and at the end.
        other: does it instead of the workflow's own function.

    Returns:
        The stage's summary: a few figures to show.

    Raises:
        PantheonError: the stage says what is wrong with its input; or there is no such stage.
    """
    known(name)
    started, clock = now(), time.perf_counter()

    def mark(state: str, **values: Any) -> None:
        record = {"state": state, "started": started, **({"by": other.by} if other else {}), **values}
        if state != "running":
            record |= {"finished": now(), "seconds": round(time.perf_counter() - clock, 3)}
        with marking:
            run.mark(name, **record)
            report({"event": "stage", "run": run.id, "stage": name, **record})

    def fail(error: str) -> None:
        try:
            mark("failed", error=error)
        except OSError:  # a full disk takes the record too; the error itself still reaches the person
            report({"event": "stage", "run": run.id, "stage": name, "state": "failed", "error": error})

    try:
        mark("running")
        stage = other.work if other else getattr(importlib.import_module(f"pantheon.workflow.{name}"), name)
        summary: dict[str, Any] = stage(run, store) if len(inspect.signature(stage).parameters) > 1 else stage(run)
        mark("done", summary=summary)
    except PantheonError as error:
        fail(str(error))
        raise
    except OSError as error:
        described = describe_os_error(error, run)
        fail(str(described))
        raise described from error
    except KeyboardInterrupt:
        mark("interrupted")
        raise
    except Exception as error:
        fail(f"{type(error).__name__}: {error}")
        raise
    return summary


def describe_os_error(error: OSError, run: Run | None = None) -> PantheonError:
    """An error of the disk in words, with what to do."""
    import errno

    where = error.filename or (run.folder if run else "the state folder")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PantheonError(
            f"the disk is full: {where} could not be written.",
            "Free some room (old runs: bin/pantheon runs), then run again.",
            1,
        )
    return PantheonError(f"{where}: {error.strerror or error}.", "Check the folder's owner and mode.", 1)


def run_single(
    name: str, run: Run, store: Any, report: Report = lambda event: None, other: Other | None = None
) -> dict[str, Any]:
    """``run_stage`` for a process that runs this stage alone, such as a task of Airflow or a notebook.

    Others may run other stages of the run at the same time.

    Raises:
        PantheonError: as ``run_stage``, or another process works on this stage or on the whole run.
    """
    known(name)
    with single(run, name):
        return run_stage(name, run, store, report, other)


def known(name: str) -> None:
    if name not in GRAPH:
        raise PantheonError(f"there is no stage {name!r}.", f"The stages: {', '.join(GRAPH)}.")


def wanted(until: str) -> set[str]:
    """``until`` and every stage that it waits for, however far up; all stages where it is empty.

    Raises:
        PantheonError: there is no such stage.
    """
    if not until:
        return set(GRAPH)
    known(until)
    return {until}.union(*(wanted(need) for need in GRAPH[until]))


def run_script(run: Run, store: Any, report: Report, until: str = "") -> None:
    """Persephone: the five steps, one stage after another; stages that are done already are left as they are.

    Args:
        until: stop after this stage.
    """
    left = wanted(until) - finished(run)
    for step, names in SCRIPT.items():
        for name in names:
            if name in left:
                run_stage(name, run, store, lambda event, step=step: report(event | {"step": step}))  # type: ignore[misc]


def run_graph(run: Run, store: Any, report: Report, until: str = "") -> None:
    """Daedalus: every stage as soon as what it waits for is done, independent ones side by side in threads.

    The first stage that fails ends the run; stages that are running are waited for, none is started after it.

    Args:
        until: stop after this stage; only what it waits for, however far up, is run before it.
    """
    left = wanted(until) - finished(run)
    waiting = {name: set(GRAPH[name]) & left for name in GRAPH if name in left}
    running: dict[Future[dict[str, Any]], str] = {}
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="stage") as pool:
        while waiting or running:
            for name in [n for n, needs in waiting.items() if not needs]:
                del waiting[name]
                running[pool.submit(run_stage, name, run, store, report)] = name
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            failed = None
            for future in ended:
                name = running.pop(future)
                failed = failed or future.exception()
                for needs in waiting.values():
                    needs.discard(name)
            if failed:
                wait(running)
                raise failed


def finished(run: Run) -> set[str]:
    """The stages of the run that need not be run again: done, and begun after all that they read was done.

    A stage that was repeated (an Airflow task that was cleared, a notebook cell run again) makes those after it stale.
    """
    stages, found = run.stages(), set[str]()
    for name, needs in GRAPH.items():  # each after its needs
        record = stages.get(name)
        if record and record["state"] == "done":
            begun = record.get("started", "")
            if all(need in found and stages[need].get("finished", "") <= begun for need in needs):
                found.add(name)
    return found


class Runner(Protocol):
    """How a tier runs a whole run."""

    def __call__(self, run: Run, store: Any, report: Report, until: str = "") -> None: ...


RUNNERS: dict[str, Runner] = {"script": run_script, "graph": run_graph}

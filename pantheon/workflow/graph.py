"""The stages, their dependencies, and the two ways to run them: a script of five steps, and a graph."""

import importlib
import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from pantheon.errors import PantheonError
from pantheon.state import StageRecord
from pantheon.workflow import memory
from pantheon.workflow.locks import exclusive, single
from pantheon.workflow.model_store import ModelStore
from pantheon.workflow.outputs import Summary
from pantheon.workflow.run import Run, now

__all__ = [
    "GRAPH",
    "RUNNERS",
    "SCRIPT",
    "Hook",
    "Other",
    "call",
    "exclusive",
    "run_graph",
    "run_script",
    "run_single",
    "run_stage",
    "single",
]

# Stage -> the stages whose outputs it reads.
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

Event = dict[str, Any]
"""A progress event for other programs, as JSON: ``{"event": "stage", "run", "stage", "state", …}``."""
Report = Callable[[Event], None]

# Held while a stage's state is written and reported. The code that ends this process acquires it and never releases it,
# so that a stage whose files are being removed does not record a failure.
marking = threading.Lock()


@dataclass(frozen=True)
class Other:
    """Another implementation of a stage, which writes the same outputs.

    Attributes:
        by: its name, for the stage's record.
        work: called with the run; returns the stage's summary.
    """

    by: str
    work: Callable[..., Summary]


Hook = Callable[[str, Other], Other]
"""Called with a stage's name and implementation; returns the implementation to use, such as one that also writes its
results to the feature store."""


def run_stage(
    name: str,
    run: Run,
    store: ModelStore | None,
    report: Report = lambda event: None,
    other: Other | None = None,
    hook: Hook | None = None,
) -> Summary:
    """Run one stage in its run's folder and record the result.

    Args:
        name: a key of ``GRAPH``.
        run: the folder to read from and write to.
        store: the model store, for the stages that compare with it or publish to it.
        report: called with ``{"event": "stage", "stage", "state", …}`` at the start and at the end.
        other: an implementation to use instead of the workflow's function.
        hook: may replace that implementation, too.

    Returns:
        The stage's summary: a few figures to show. Its ``notes`` are moved to the stage's record.

    Raises:
        PantheonError: the stage fails on its input, or there is no such stage.
    """
    check_stage(name)
    started, clock = now(), time.perf_counter()

    def mark(state: str, summary: Summary | None = None, error: str = "") -> None:
        record = StageRecord(name, state, started, by=other.by if other else "", error=error)
        if summary is not None:
            notes = summary.pop("notes", [])
            record = msgspec.structs.replace(record, summary=summary, notes=notes)
        if state != "running":
            seconds = round(time.perf_counter() - clock, 3)
            record = msgspec.structs.replace(record, finished=now(), seconds=seconds)
        with marking:
            run.mark(record)
            report({"event": "stage", "run": run.id, **msgspec.to_builtins(record)})

    def fail(error: str) -> None:
        try:
            mark("failed", error=error)
        except OSError:  # on a full disk, the record cannot be written either; report the error anyway
            report({"event": "stage", "run": run.id, "stage": name, "state": "failed", "error": error})

    try:
        mark("running")
        implementation = other or Other("", _function(name))
        summary = call(hook(name, implementation) if hook else implementation, run, store)
        mark("done", summary)
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
    except BaseException as error:
        ended = describe_end(error, run, name)
        fail(str(ended) if ended else f"{type(error).__name__}: {error}")
        if ended:
            raise ended from error
        raise
    return summary


def call(implementation: Other, run: Run, store: ModelStore | None) -> Summary:
    """Call an implementation with the run, and with the store if it takes one."""
    work = implementation.work
    return work(run, store) if len(inspect.signature(work).parameters) > 1 else work(run)


def describe_end(error: BaseException, run: Run, name: str) -> PantheonError | None:
    """Convert an error that the stage's code did not cause to a PantheonError with a remedy; None for other errors."""
    if not isinstance(error, MemoryError | SystemExit | RecursionError):
        return None
    from pantheon.workflow import extensions  # loads NumPy, which must not be loaded before ``fix_threads``

    where = extensions.place(error, run.extensions) or name
    if isinstance(error, MemoryError):
        return memory.exhausted(where)
    called = f"called {extensions.exit_call(error)}" if isinstance(error, SystemExit) else "calls itself endlessly"
    return PantheonError(f"{where}: the code {called}.", f"Correct it, then continue: `run --resume {run.id}`", 1)


def _function(name: str) -> Callable[..., Summary]:
    """Return the workflow's function for a stage; imports its module only now."""
    function: Callable[..., Summary] = getattr(importlib.import_module(f"pantheon.workflow.stages.{name}"), name)
    return function


def describe_os_error(error: OSError, run: Run | None = None) -> PantheonError:
    """Convert an error of the file system to a PantheonError with a remedy."""
    import errno

    where = error.filename or (run.folder if run else "the state folder")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PantheonError(
            f"the disk is full: {where} could not be written.",
            "Free some space (old runs: `bin/pantheon runs`), then run again.",
            1,
        )
    return PantheonError(f"{where}: {error.strerror or error}.", "Check the folder's owner and mode.", 1)


def run_single(
    name: str,
    run: Run,
    store: ModelStore | None,
    report: Report = lambda event: None,
    other: Other | None = None,
    hook: Hook | None = None,
) -> Summary:
    """``run_stage`` for a process that runs a single stage, such as an Airflow task or a notebook.

    Other processes may run other stages of the run at the same time.

    Raises:
        PantheonError: as ``run_stage``, or another process has locked this stage or the complete run.
    """
    check_stage(name)
    with single(run, name):
        return run_stage(name, run, store, report, other, hook)


def check_stage(name: str) -> None:
    """Check the name of a stage.

    Raises:
        PantheonError: there is no such stage.
    """
    if name not in GRAPH:
        raise PantheonError(f"there is no stage {name!r}.", f"The stages: {', '.join(GRAPH)}.")


def wanted(until: str) -> set[str]:
    """Return ``until`` and all its direct and indirect dependencies; all stages if it is empty.

    Raises:
        PantheonError: there is no such stage.
    """
    if not until:
        return set(GRAPH)
    check_stage(until)
    return {until}.union(*(wanted(need) for need in GRAPH[until]))


def run_script(run: Run, store: ModelStore, report: Report, until: str = "", hook: Hook | None = None) -> None:
    """Run the five steps, one stage after another (Persephone); skip stages that are done.

    Args:
        until: stop after this stage.
    """
    left = wanted(until) - finished(run)
    for step, names in SCRIPT.items():
        for name in names:
            if name in left:
                run_stage(name, run, store, partial(_in_step, report, step), hook=hook)


def _in_step(report: Report, step: str, event: Event) -> None:
    report(event | {"step": step})


def run_graph(run: Run, store: ModelStore, report: Report, until: str = "", hook: Hook | None = None) -> None:
    """Run every stage as soon as its dependencies are done, independent stages in parallel threads (Daedalus).

    The first stage that fails ends the run: running stages are waited for, and no other stage is started.

    Args:
        until: stop after this stage; only its direct and indirect dependencies run before it.
    """
    left = wanted(until) - finished(run)
    waiting = {name: set(GRAPH[name]) & left for name in GRAPH if name in left}
    running: dict[Future[Summary], str] = {}
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="stage") as pool:
        while waiting or running:
            for name in [n for n, needs in waiting.items() if not needs]:
                del waiting[name]
                running[pool.submit(run_stage, name, run, store, report, None, hook)] = name
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
    """Return the stages of the run that are up to date: done, and started after all their dependencies were done.

    Repeating a stage (clearing an Airflow task, running a notebook cell again) makes the stages after it stale.
    """
    records, current = run.records(), set[str]()
    for name, needs in GRAPH.items():  # dependencies come first
        record = records.get(name)
        if not record or record.state != "done":
            continue
        if all(need in current and records[need].finished <= record.started for need in needs):
            current.add(name)
    return current


class Runner(Protocol):
    """A function that runs all stages of a run."""

    def __call__(
        self, run: Run, store: ModelStore, report: Report, until: str = "", hook: Hook | None = None
    ) -> None: ...


RUNNERS: dict[str, Runner] = {"script": run_script, "graph": run_graph}

"""The stages, what each waits for, and the two ways to run them: a script of five steps, and a graph."""

import fcntl
import importlib
import inspect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from pantheon.errors import PantheonError
from pantheon.workflow.run import Run, now

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


@contextmanager
def exclusive(run: Run) -> Iterator[None]:
    """Hold the run: two processes never work in one run's folder at once.

    Raises:
        PantheonError: another process works in it.
    """
    with (run.folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PantheonError(
                f"run {run.id} is being worked on by another process.", "Wait for it: bin/pantheon runs"
            ) from None
        yield


def run_stage(name: str, run: Run, store: Any, report: Report = lambda event: None) -> dict[str, Any]:
    """Run one stage on its run's folder and record how it went.

    Args:
        name: a key of ``GRAPH``.
        run: the folder to read from and write to.
        store: the model store, for the stages that compare with it or publish to it.
        report: is told ``{"event": "stage", "stage", "state", …}`` at the begin and at the end.

    Returns:
        The stage's summary: a few figures to show.

    Raises:
        PantheonError: the stage says what is wrong with its input; or there is no such stage.
    """
    if name not in GRAPH:
        raise PantheonError(f"there is no stage {name!r}.", f"The stages: {', '.join(GRAPH)}.")
    started, clock = now(), time.perf_counter()

    def mark(state: str, **values: Any) -> None:
        record = {"state": state, "started": started, **values}
        if state != "running":
            record |= {"finished": now(), "seconds": round(time.perf_counter() - clock, 3)}
        run.mark(name, **record)
        report({"event": "stage", "run": run.id, "stage": name, **record})

    mark("running")
    try:
        stage = getattr(importlib.import_module(f"pantheon.workflow.{name}"), name)
        summary: dict[str, Any] = stage(run, store) if len(inspect.signature(stage).parameters) > 1 else stage(run)
    except PantheonError as error:
        mark("failed", error=str(error))
        raise
    except OSError as error:
        mark_failed = describe_os_error(error, run)
        try:
            mark("failed", error=str(mark_failed))
        except OSError:  # a full disk takes the record too; the error itself still reaches the person
            report({"event": "stage", "run": run.id, "stage": name, "state": "failed", "error": str(mark_failed)})
        raise mark_failed from error
    except KeyboardInterrupt:
        mark("interrupted")
        raise
    except Exception as error:
        mark("failed", error=f"{type(error).__name__}: {error}")
        raise
    mark("done", summary=summary)
    return summary


def describe_os_error(error: OSError, run: Run) -> PantheonError:
    """An error of the disk in words, with what to do."""
    import errno

    where = error.filename or run.folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PantheonError(
            f"the disk is full: {where} could not be written.",
            "Free some room (old runs: bin/pantheon runs), then run again.",
            1,
        )
    return PantheonError(f"{where}: {error.strerror or error}.", "Check the folder's owner and mode.", 1)


def run_script(run: Run, store: Any, report: Report) -> None:
    """Persephone: the five steps, one stage after another; stages that are done already are left as they are."""
    done = finished(run)
    for step, names in SCRIPT.items():
        for name in names:
            if name not in done:
                run_stage(name, run, store, lambda event, step=step: report(event | {"step": step}))  # type: ignore[misc]


def run_graph(run: Run, store: Any, report: Report) -> None:
    """Daedalus: every stage as soon as what it waits for is done, independent ones side by side in threads.

    The first stage that fails ends the run; stages that are running are waited for, none is started after it.
    """
    done = finished(run)
    waiting = {name: set(needs) - done for name, needs in GRAPH.items() if name not in done}
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
    """The stages of the run that are done."""
    return {name for name, stage in run.stages().items() if stage["state"] == "done"}


RUNNERS: dict[str, Callable[[Run, Any, Report], None]] = {"script": run_script, "graph": run_graph}

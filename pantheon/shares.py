"""The stage train in several processes that share the trees of its forests: ``python -m pantheon.shares --run ID``.

Every process is started with the same command, as the nodes of a TrainJob are, and reads who it is from the variables
that Kubeflow's Trainer sets: ``PET_NNODES`` (how many there are; default 1) and ``PET_NODE_RANK``. They share the
folder ``CHECKPOINT_DIR``, and continue with what is in it. The first one runs the stage, with the records, locks and
outputs that it has at every tier; the others fit their share of the trees.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pantheon import events, worker
from pantheon.errors import PantheonError
from pantheon.workflow import graph, memory
from pantheon.workflow.run import Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="pantheon.shares", description=__doc__)
    parser.add_argument("--run", required=True, help="the run's ID")
    args = parser.parse_args()
    try:
        memory.apply()
        work(args.run)
    except PantheonError as error:
        say(f"pantheon: {error}")
        return error.status
    return 0


def work(name: str) -> None:
    """Do this process's part of the stage train of a run.

    Raises:
        PantheonError: the variables are not valid, the run does not exist, or the stage fails.
    """
    state = worker.state_folder()
    nodes, rank = number("PET_NNODES", 1, 1), number("PET_NODE_RANK", 0, 0)
    if rank >= nodes:
        raise PantheonError(f"PET_NODE_RANK is {rank}, but there are only {nodes} nodes (PET_NNODES).")
    folder = os.environ.get("CHECKPOINT_DIR", "")
    if not folder:
        raise PantheonError("CHECKPOINT_DIR is not set: the folder that all nodes share.")
    run = Run.find(state, name)
    worker.fix_threads(run.params)  # before numeric libraries are imported
    if rank:
        help_with(Path(folder), nodes, rank)
        return
    memory.repeat_with(f"stage train --run {run.id}")
    events.reserve_for_data()  # what is reported goes to the log, too

    def stage() -> None:
        from pantheon.workflow.stages.train import train_with
        from pantheon.workflow.training.shares import Exchange

        exchange = Exchange(Path(folder), nodes, rank, say)
        if exchange.is_finished():  # this process was killed when its work was done
            return
        shared = graph.Other("", lambda run: train_with(run, exchange))  # its outputs are those of every tier
        graph.run_single("train", run, worker.open_store(state), show, shared, worker.hook(state))
        exchange.finish()

    worker.in_thread(stage, run, ["train"])  # first: threads of numeric libraries must inherit its blocked signals


def help_with(folder: Path, nodes: int, rank: int) -> None:
    """Fit the share of another node."""
    from pantheon.workflow.training.parallel import one_thread
    from pantheon.workflow.training.shares import Exchange

    with one_thread():
        Exchange(folder, nodes, rank, say).help()


def number(name: str, default: int, least: int) -> int:
    """Return an environment variable that is a whole number.

    Raises:
        PantheonError: it is not, or less than ``least``.
    """
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise PantheonError(f"{name} must be a whole number from {least} on, not {text!r}.")
    return int(text)


def show(event: dict[str, Any]) -> None:
    seconds = f" in {event['seconds']:.1f} s" if "seconds" in event else ""
    error = f": {event['error']}" if event.get("error") else ""
    say(f"{event['stage']} {event['state']}{seconds}{error}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

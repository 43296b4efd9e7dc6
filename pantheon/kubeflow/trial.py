"""One trial of hyperparameter_tuning: ``python -S -P -m pantheon.kubeflow.trial --run RUN --family NAME NAME=VALUE …``.

Prints the scores of the folds and their mean as metrics. The process of the stage computes them, which has the folds
prepared; so this needs the standard library only and takes milliseconds. Without an answer, it starts again with the
workflow's libraries and computes them itself.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCORE = "score"  # the metric that the Experiment optimizes: the mean of the folds
SOCKET = "socket"
ALONE = "--alone"


def fold_name(fold: int) -> str:
    """Return the name of a fold's metric."""
    return f"fold-{fold}"


def folder_of(state: Path, run: str) -> Path:
    """Return the folder with the socket of a run's stage."""
    return state / "kubeflow" / "evaluators" / run


@contextmanager
def path_of(folder: Path) -> Iterator[str]:
    """Yield a short path of the socket in ``folder``: a socket's path has at most 107 characters."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET}"
    finally:
        os.close(opened)


def text_of(choice: Any) -> str:
    """Return a choice of a list as text for Katib."""
    return json.dumps(choice, default=repr)


def value_of(choice: Any, text: str) -> Any:
    """Return the value that a text of Katib stands for.

    Args:
        choice: the parameter's part of the family's space; see ``hyperparameter_tuning.suggest``.
    """
    if isinstance(choice, list):
        return next(each for each in choice if text_of(each) == text)
    low, high, *_ = choice
    return int(text) if isinstance(low, int) and isinstance(high, int) else float(text)


def ask(folder: Path, family: str, values: dict[str, str]) -> dict[str, Any] | None:
    """Have the stage compute a trial; None if it does not answer."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with path_of(folder) as path:
            connection.connect(path)
        with connection, connection.makefile("rwb") as file:
            file.write(json.dumps({"family": family, "values": values}).encode() + b"\n")
            file.flush()
            line = file.readline()
    except OSError:
        return None
    if not line:
        return None
    answer: dict[str, Any] = json.loads(line)
    return answer


def alone(state: Path, run: str, family: str, values: dict[str, str]) -> dict[str, Any]:
    """Compute a trial in this process."""
    import numpy as np

    from pantheon.workflow.run import Run
    from pantheon.workflow.stages.hyperparameter_tuning import FOLDS
    from pantheon.workflow.training.candidates import candidates
    from pantheon.workflow.training.crossval import CrossValidation

    current = Run.find(state, run)
    folds = CrossValidation(current, min(FOLDS, current.params.folds))
    candidate = candidates(current, folds.design.task)[family]
    params = {name: value_of(choice, values[name]) for name, choice in candidate.space.items()}
    scores = folds.all(candidate, params)
    return {"folds": scores, "mean": float(np.mean(scores))}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="pantheon.kubeflow.trial", description=__doc__)
    parser.add_argument("--run", required=True)
    parser.add_argument("--family", required=True)
    parser.add_argument(ALONE, action="store_true", help="compute it in this process")
    parser.add_argument("values", nargs="*", help="NAME=VALUE")
    given = parser.parse_args(arguments)
    state = Path(os.environ["STATE_DIR"])
    values = dict(each.split("=", 1) for each in given.values)
    if given.alone:
        answer: dict[str, Any] | None = alone(state, given.run, given.family, values)
    else:
        answer = ask(folder_of(state, given.run), given.family, values)
    if answer is None:
        print("the stage does not answer: computing in this process", flush=True)
        again = [sys.executable, "-P", "-m", "pantheon.kubeflow.trial", ALONE, *arguments]
        os.execv(sys.executable, again)  # noqa: S606 - this program again
    if "error" in answer:
        print(answer["error"], file=sys.stderr)
        return 1
    for fold, score in enumerate(answer["folds"]):
        print(f"{fold_name(fold)}={score!r}")
    print(f"{SCORE}={answer['mean']!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

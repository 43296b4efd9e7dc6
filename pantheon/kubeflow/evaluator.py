"""Evaluate trials of hyperparameter_tuning in the process of the stage, which has the run's folds prepared."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pantheon.errors import PantheonError
from pantheon.kubeflow.trial import SOCKET, folder_of, path_of, value_of
from pantheon.workflow.run import Run
from pantheon.workflow.training.candidates import Candidate
from pantheon.workflow.training.crossval import CrossValidation


class Evaluator:
    """Listens on a socket for trials: ``{"family", "values"}`` as a line of JSON, answered by the scores of the folds.

    A context manager. Its folder is for this user only.
    """

    def __init__(self, run: Run) -> None:
        self.folder = folder_of(run.state, run.id)
        self.families: dict[str, tuple[Candidate, CrossValidation]] = {}
        self.errors: dict[str, BaseException] = {}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> "Evaluator":
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path_of(self.folder) as path:
            Path(path).unlink(missing_ok=True)  # of a process that was killed
            self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._serve, name="evaluator", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # wakes accept
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        (self.folder / SOCKET).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def add(self, family: Candidate, folds: CrossValidation) -> None:
        """Evaluate trials of a family from now on."""
        self.families[family.name] = (family, folds)

    def error(self, family: str) -> BaseException | None:
        """Return why a trial of a family failed, if it was evaluated here."""
        return self.errors.get(family)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), name="trial", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rwb") as file:
            request = json.loads(file.readline())
            family = self.families.get(request["family"])
            if family is None:  # not added yet: the trial computes by itself
                return
            try:
                answer = evaluate(*family, request["values"])
            except PantheonError as error:
                self.errors[request["family"]] = error
                answer = {"error": str(error)}
            except BaseException as error:  # noqa: BLE001 - raised by the stage, as in other tiers
                self.errors[request["family"]] = error
                answer = {"error": f"{type(error).__name__}: {error}"}
            file.write(json.dumps(answer).encode() + b"\n")


def evaluate(family: Candidate, folds: CrossValidation, values: dict[str, str]) -> dict[str, Any]:
    """Return ``{"folds", "mean"}``: the scores of a family with values of Katib."""
    params = {name: value_of(choice, values[name]) for name, choice in family.space.items()}
    scores = folds.all(family, params)
    return {"folds": scores, "mean": float(np.mean(scores))}

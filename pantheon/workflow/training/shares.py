"""Train one forest in several processes: each fits a share of the trees, and the first one puts them together.

Every tree of scikit-learn's forests has a seed of its own, drawn from the forest's seed in the order of the trees, so
it does not matter which process fits it: the forest has the same trees as one that a single process fits. The
processes share a folder (``Exchange``). Trees are saved a few at a time, so that a process that is stopped continues
there.

The files of two fits of one forest are not identical, even of one process: between the fields of a tree's nodes there
are bytes that scikit-learn never sets. Every field is identical, and so is the ONNX model.
"""

import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from pantheon.errors import PantheonError
from pantheon.files import atomic, read_json, write_json
from pantheon.workflow import cancellation

FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
TREES_A_FILE = 4
POLL_SECONDS = 0.05  # between two looks at the folder

Say = Callable[[str], object]


def can_share(estimator: Any) -> bool:
    """Whether an unfitted estimator is a forest whose trees can be fitted apart, with the same result."""
    return (
        type(estimator) in FORESTS  # not a subclass, which may fit its trees in another way
        and isinstance(estimator.random_state, int)
        and not estimator.oob_score  # needs all trees while fitting
        and not estimator.warm_start
    )


def share(trees: int, nodes: int, rank: int) -> range:
    """Return the trees of one of ``nodes`` processes; the shares differ by one tree at most."""
    return range(trees * rank // nodes, trees * (rank + 1) // nodes)


def fit_trees(forest: Any, X: NDArray[Any], y: NDArray[Any], trees: range) -> list[Any]:
    """Fit some of a forest's trees, by position, exactly as ``forest.fit(X, y)`` would fit them.

    Args:
        forest: unfitted; see ``can_share``. It is not changed.
        X: (rows, columns), the same in every process.
        y: (rows,)
    """
    part = clone(forest)
    # Warm start continues a forest that has fewer trees: scikit-learn then skips the seeds of those that exist, and
    # does not look at them otherwise.
    part.set_params(n_estimators=trees.stop, warm_start=True)
    part.estimators_ = [None] * trees.start
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="class_weight presets", category=UserWarning)  # all rows are there
        part.fit(X, y)
    return list(part.estimators_[trees.start :])


def assemble(forest: Any, X: NDArray[Any], y: NDArray[Any], trees: list[Any]) -> Any:
    """Make ``forest`` a fitted one that consists of ``trees``, in their order, and return it."""
    forest.set_params(warm_start=True)
    forest.estimators_ = trees
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warm-start fitting|class_weight presets", category=UserWarning)
        forest.fit(X, y)  # fits no tree, and sets what it knows of X and y
    return forest.set_params(warm_start=False)


@dataclass(frozen=True)
class Task:
    """A forest to fit, as the first process hands it to the others."""

    forest: Any
    X: NDArray[Any]
    y: NDArray[Any]

    def digest(self) -> str:
        """Return a checksum of all that determines the forest."""
        forest = {key: value for key, value in self.forest.get_params().items() if key != "n_jobs"}
        digest = hashlib.sha256(f"{sklearn.__version__} {type(self.forest).__name__} {forest}".encode())
        for values in (self.X, self.y):
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Exchange:
    """A folder that the processes of one training share; every file in it appears complete.

    ``plan.json`` names the forests and their checksums; ``NAME/task.joblib`` is a forest with its data, and
    ``NAME/trees-BEGIN-END.joblib`` some of its trees. At the end only the plan is left, which says so.

    Attributes:
        folder: empty at first; it stays while the processes are stopped and started again.
        nodes: the number of processes.
        rank: of this process, from 0; the first one plans and gathers.
        say: called with a line for each step.
    """

    folder: Path
    nodes: int
    rank: int
    say: Say

    def plan(self, tasks: dict[str, Task]) -> None:
        """Tell the other processes what to fit: forest's name → task. Only the first process does.

        Raises:
            PantheonError: the folder holds trees of other data or parameters.
        """
        plan = {"nodes": self.nodes, "forests": {name: task.digest() for name, task in tasks.items()}}
        path = self.folder / "plan.json"
        if path.exists():
            if read_json(path, self._cure) != plan:
                cause = f"{self.folder} holds a forest of other data, parameters or number of nodes."
                raise PantheonError(cause, self._cure, 1)
            self.say("continuing with the trees that are done")
            return
        for name, task in tasks.items():
            with atomic(self.folder / name / "task.joblib") as part:
                joblib.dump(task, part)
        write_json(path, plan)

    def fit(self, name: str, task: Task) -> None:
        """Fit this process's share of a forest, and save it; trees that are saved already are not fitted again."""
        for trees in self._files(share(task.forest.n_estimators, self.nodes, self.rank)):
            path = self._file(name, trees)
            if path.exists():
                continue
            cancellation.check()
            fitted = fit_trees(task.forest, task.X, task.y, trees)
            with atomic(path) as part:
                joblib.dump(fitted, part)
            self.say(f"{name}: trees {trees.start} to {trees.stop - 1} of {task.forest.n_estimators} are fitted")

    def gather(self, name: str, task: Task) -> Any:
        """Fit this process's share, wait for the others', and return the fitted forest."""
        self.fit(name, task)
        trees: list[Any] = []
        for rank in range(self.nodes):
            for part in self._files(share(task.forest.n_estimators, self.nodes, rank)):
                trees += joblib.load(self._wait(self._file(name, part)))
        return assemble(task.forest, task.X, task.y, trees)

    def help(self) -> None:
        """Wait for the plan, and fit this process's share of every forest in it. All processes but the first do."""
        self.say("waiting for the plan of node 0")
        plan = read_json(self._wait(self.folder / "plan.json"), self._cure)
        for name in plan["forests"]:
            try:
                self.fit(name, joblib.load(self.folder / name / "task.joblib"))
            except FileNotFoundError:
                if not self.is_finished():
                    raise

    def finish(self) -> None:
        """Remove the data and the trees: what the first process made of them is complete. Only it calls this."""
        write_json(self.folder / "plan.json", {"nodes": self.nodes, "forests": {}, "finished": True})
        for task in self.folder.glob("*/task.joblib"):
            shutil.rmtree(task.parent)

    def is_finished(self) -> bool:
        """Whether ``finish`` was called: a process that is started again has nothing to do."""
        path = self.folder / "plan.json"
        return path.exists() and "finished" in read_json(path, self._cure)

    @property
    def _cure(self) -> str:
        return "Delete the job, and apply it again."

    def _file(self, name: str, trees: range) -> Path:
        return self.folder / name / f"trees-{trees.start:05}-{trees.stop:05}.joblib"

    def _files(self, trees: range) -> Iterator[range]:
        return (trees[begin : begin + TREES_A_FILE] for begin in range(0, len(trees), TREES_A_FILE))

    def _wait(self, path: Path) -> Path:
        """Wait until a file is there: a process that fails ends the job, and so does a signal."""
        while not path.exists():
            cancellation.check()
            time.sleep(POLL_SECONDS)
        return path

"""The variant ``VARIANT=pycaret``: PyCaret does features, training, comparison, tuning and selection of a run.

It works on the run's training part and writes what the stages that it replaces write, so metrics, comparison, gate,
bundle and store are the same for its models. Only the environment ``pycaret`` has PyCaret: what leaves it is an ONNX
graph, never a pickle. Nothing numeric is imported before ``notebook.open_run`` has fixed the threads.
"""

import os
from functools import partial
from importlib.util import find_spec
from typing import Any

from pantheon import notebook
from pantheon.errors import PantheonError
from pantheon.workflow.graph import Other
from pantheon.workflow.run import Run, read_json, write_json

BY = "pycaret"
OPTIONS = "pycaret/options.json"  # of the run: stage → what it was asked for
STAGES = (
    "feature_engineering",
    "feature_selection",
    "train",
    "model_selection",
    "hyperparameter_tuning",
    "evaluate",
)


def stage(run: Run, name: str, again: bool = False, **options: Any) -> None:
    """Have PyCaret do one stage of the run, as ``notebook.stage`` does it; with other options it is done anew.

    Args:
        options: of the functions in ``pantheon.pycaret.stages``, such as ``normalize=False``.

    Raises:
        PantheonError: as the stage says; or this kernel has no PyCaret.
    """
    if name not in STAGES:
        raise PantheonError(f"PyCaret has no stage {name!r}.", f"Its stages: {', '.join(STAGES)}.")
    file = run.path(OPTIONS)
    asked: dict[str, Any] = read_json(file) if file.exists() else {}
    again = again or (bool(options) and asked.get(name) != options)
    if again or not notebook.is_current(run, name, BY):
        write_json(file, asked | {name: options})
    notebook.stage(run, name, again, Other(BY, partial(_work, name, options)))


def prepared(run: Run) -> Any:
    """The training rows as PyCaret's models get them: a data frame of pandas'."""
    _look()
    from pantheon.pycaret.stages import lab_of

    return lab_of(run).transformed()


def _look() -> None:
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)  # else it writes logs.log wherever it is imported
    if find_spec("pycaret") is None:
        raise PantheonError(
            "this kernel has no PyCaret.", "Choose the kernel Pantheon PyCaret (Kernel → Change Kernel)."
        )


def _work(name: str, options: dict[str, Any], run: Run) -> dict[str, Any]:
    _look()
    from pantheon.pycaret import stages

    found: dict[str, Any] = getattr(stages, name)(run, **options)
    return found

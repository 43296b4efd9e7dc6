"""The variant ``VARIANT=pycaret``: PyCaret does the features, training, comparison, tuning and selection of a run.

It works on the run's training part and writes the same files as the stages that it replaces, so metrics, comparison,
gate, bundle and store are the same for its models. PyCaret is only installed in the environment ``pycaret``, which
exports ONNX graphs, never pickles. Numeric libraries are not imported before ``notebook.open_run`` has set the threads.
"""

import os
from functools import partial
from importlib.util import find_spec
from typing import Any

from pantheon import notebook
from pantheon.errors import PantheonError
from pantheon.files import read_json, write_json
from pantheon.workflow.graph import Other
from pantheon.workflow.run import Run

BY = "pycaret"
OPTIONS = "pycaret/options.json"  # of the run: stage → options
STAGES = (
    "feature_engineering",
    "feature_selection",
    "train",
    "model_selection",
    "hyperparameter_tuning",
    "evaluate",
)


def stage(run: Run, name: str, again: bool = False, **options: Any) -> None:
    """Run one stage with PyCaret, like ``notebook.stage``; it runs again if the options change.

    Args:
        options: of the functions in ``pantheon.pycaret.stages``, such as ``normalize=False``.

    Raises:
        PantheonError: the stage fails, or this kernel has no PyCaret.
    """
    if name not in STAGES:
        raise PantheonError(f"PyCaret has no stage {name!r}.", f"Its stages: {', '.join(STAGES)}.")
    file = run.path(OPTIONS)
    previous: dict[str, Any] = read_json(file) if file.exists() else {}
    again = again or (bool(options) and previous.get(name) != options)
    if again or not notebook.is_current(run, name, BY):
        write_json(file, previous | {name: options})
    notebook.stage(run, name, again, Other(BY, partial(_work, name, options)))


def prepared(run: Run) -> Any:
    """Return the training rows after PyCaret's preparation, as a pandas data frame."""
    _check_kernel()
    from pantheon.pycaret.stages import lab_of

    return lab_of(run).transformed()


def _check_kernel() -> None:
    os.environ.setdefault(
        "PYCARET_CUSTOM_LOGGING_PATH", os.devnull
    )  # otherwise it writes logs.log to the current folder
    if find_spec("pycaret") is None:
        raise PantheonError(
            "this kernel has no PyCaret.", "Choose the kernel Pantheon PyCaret (Kernel → Change Kernel)."
        )


def _work(name: str, options: dict[str, Any], run: Run) -> dict[str, Any]:
    _check_kernel()
    from pantheon.pycaret import stages

    summary: dict[str, Any] = getattr(stages, name)(run, **options)
    return summary

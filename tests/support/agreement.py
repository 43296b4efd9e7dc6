"""Compare two runs: their metrics, and what their models answer."""

from pathlib import Path
from typing import Any

import numpy as np

from pantheon.workflow.run import Run


def answers(run: Path) -> list[np.ndarray]:
    """Return what the run's ONNX model answers to its held-out rows."""
    import onnxruntime

    from pantheon.workflow.training.matrix import train_and_test

    _, held_out = train_and_test(Run(run))
    session = onnxruntime.InferenceSession(run / "bundle" / "model.onnx")
    return session.run(None, {"features": held_out.X})


def experiments(run: Path) -> list[str]:
    """Return the names of the Experiments that a run made in Kubeflow's service."""
    found = (run.parent.parent / "kubeflow" / "objects").glob("*/experiments/*.json")
    return [path.stem for path in found if f'"{run.name}"' in path.read_text()]


def differences(one: Any, two: Any, where: str = "") -> Any:
    """Every place where two metrics files differ by more than 1e-9."""
    if isinstance(one, dict) and isinstance(two, dict) and set(one) == set(two):
        for key in one:
            yield from differences(one[key], two[key], f"{where}/{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            yield from differences(a, b, f"{where}/{index}")
    elif isinstance(one, float) and isinstance(two, int | float):
        if abs(one - two) > 1e-9:
            yield where, one, two
    elif one != two:
        yield where, one, two

"""TensorBoard's event files of a pipeline run: its metrics, and the curves that its steps give.

A number in the metadata of a Metrics artifact is a point with the tag ``STEP/NAME``. A step gives curves as an entry
``curves`` of an artifact's metadata, tag → list of numbers: ``metrics.metadata["curves"] = {"loss": [0.7, 0.4]}``.
The page "HParams" has the run's parameters beside its metrics, so that runs can be compared.
"""

import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pantheon.kubeflow.pipelines.records import Step, artifacts

CURVES = "curves"
METRICS = ("Metrics", "ClassificationMetrics")
OTHERS = re.compile(r"[^-/\w.]")  # not allowed in tags


class Curves:
    """Writes the curves of one run; the file is made with the first step that has some. Thread-safe.

    Args:
        folder: of the run's event files; those of an earlier process are replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._written: set[str] = set()  # steps
        self._metrics: set[str] = set()  # tags
        self._writer: Any = None

    def add(self, steps: Sequence[Step]) -> None:
        """Write the curves of the steps that are done and were not written yet."""
        with self._lock:
            for step in steps:
                if step.state != "done" or step.name in self._written:
                    continue
                self._written.add(step.name)
                for name, values in points(step):
                    tag = OTHERS.sub("_", name)  # as the writer does
                    if len(values) == 1:
                        self._metrics.add(tag)
                    for place, value in enumerate(values):
                        self._open().add_scalar(tag, value, place)
                if self._writer:
                    self._writer.flush()

    def close(self, parameters: Mapping[str, Any]) -> None:
        """Write the run's parameters, and finish the file."""
        with self._lock:
            if self._writer is None:
                return
            from tensorboardX.summary import hparams

            plain = {key: value for key, value in parameters.items() if isinstance(value, str | int | float)}
            for summary in hparams(plain, dict.fromkeys(sorted(self._metrics), 0.0)):
                self._writer.file_writer.add_summary(summary)
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            import tensorboardX

            shutil.rmtree(self.folder, ignore_errors=True)
            self._writer = tensorboardX.SummaryWriter(str(self.folder), flush_secs=2)
        return self._writer


def points(step: Step) -> Iterator[tuple[str, list[float]]]:
    """Yield the tags of a step, each with its values."""
    for artifact in artifacts(step):
        for name, value in artifact["metadata"].items():
            if name == CURVES and isinstance(value, dict):
                for tag, values in value.items():
                    if isinstance(values, list) and all(_is_number(one) for one in values):
                        yield str(tag), values
            elif artifact["type"] in METRICS and _is_number(value):
                yield f"{step.name}/{name}", [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

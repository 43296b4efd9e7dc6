"""TensorBoard's event files, without TensorFlow: read the metrics of a trial, and write the curves of trials."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.kubeflow.katib.collector import Report, number

HEAD, CHECKSUM = 12, 4  # bytes of a record before its content (its length and a checksum), and after it


def read(folder: Path, names: Sequence[str]) -> list[Report]:
    """Return the scalars of the metrics in all event files below a folder, in the order of their times.

    A name such as ``test/accuracy`` means the tag ``accuracy`` of the files in a folder ``test``, as in Katib.
    """
    found: list[Report] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            for event in _events(path.read_bytes()):
                at = datetime.fromtimestamp(event.wall_time, UTC)
                for value in event.summary.value:
                    scalar = _scalar(value)
                    if scalar is not None:
                        found += [Report(name, repr(scalar), at) for name in names if _is(value.tag, name, path.parent)]
    return sorted(found, key=lambda report: report.at or datetime.min.replace(tzinfo=UTC))


def _is(tag: str, name: str, folder: Path) -> bool:
    parent, _, last = name.rpartition("/")
    return tag.startswith(last) and str(folder).endswith(parent)


def _scalar(value: Any) -> float | None:
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind == "tensor":
        for part in (value.tensor.float_val, value.tensor.double_val):
            if len(part) == 1:
                return float(part[0])
        if len(value.tensor.tensor_content) == 4:  # bytes of one float
            return float(struct.unpack("<f", value.tensor.tensor_content)[0])
    return None


def _events(content: bytes) -> Iterator[Any]:
    """Yield the events of a file; nothing from what is not an event file, or after where one is incomplete."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    place = 0
    while place + HEAD <= len(content):
        (size,) = struct.unpack_from("<Q", content, place)
        end = place + HEAD + size
        if end + CHECKSUM > len(content):
            return
        event = Event()
        try:
            event.ParseFromString(content[place + HEAD : end])
        except DecodeError:
            return
        yield event
        place = end + CHECKSUM


class Curves:
    """Writes the metrics of one trial as TensorBoard's curves, and its parameters for the page "HParams".

    The file is made with the first metric.

    Args:
        folder: of the trial; files of an earlier attempt in it should be gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: dict[str, int] = {}
        self.writer: Any = None

    def add(self, reports: Sequence[Report]) -> None:
        """Append reports; each has the number of reports of its metric as its step."""
        for report in reports:
            value = number(report.value)
            if value is None:
                continue
            if self.writer is None:
                import tensorboardX

                self.writer = tensorboardX.SummaryWriter(str(self.folder), flush_secs=2)
            step = self.steps[report.name] = self.steps.get(report.name, -1) + 1
            self.writer.add_scalar(report.name, value, step)

    def close(self, parameters: Mapping[str, str]) -> None:
        """Write the parameters, and finish the file."""
        if self.writer is None:
            return
        from tensorboardX.summary import hparams

        values: dict[str, Any] = {}
        for name, text in parameters.items():
            value = number(text)
            values[name] = text if value is None else value
        for summary in hparams(values, dict.fromkeys(self.steps, 0.0)):
            self.writer.file_writer.add_summary(summary)
        self.writer.close()
        self.writer = None

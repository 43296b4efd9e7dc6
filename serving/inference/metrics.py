"""Metrics in the Prometheus text format, version 0.0.4.

Written here because ``prometheus_client`` is not part of the serving environment; the format is a line per number.
"""

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds
MOST_NEW = 500  # answers that are not counted yet
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = tuple[tuple[str, str], ...]
_Answered = tuple[str, str, str, int, float, int]  # as the arguments of ``Metrics.answered``


class Metrics:
    """What the endpoint counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: deque[_Answered] = deque()  # not counted yet: an answer does not wait for that
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._rows: Counter[tuple[str, str]] = Counter()
        self._latency: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}
        self.events: Counter[str] = Counter()

    def answered(self, model: str, version: str, protocol: str, status: int, seconds: float, rows: int) -> None:
        """Count a request that reached a model.

        Args:
            protocol: the kind of request, such as ``predict`` or ``infer``.
            rows: that were predicted.
        """
        self._new.append((model, version, protocol, status, seconds, rows))
        if len(self._new) > MOST_NEW:
            with self._lock:
                self._add()

    def _add(self) -> None:
        """Count the new answers; with the lock held."""
        while self._new:
            model, version, protocol, status, seconds, rows = self._new.popleft()
            self._requests[model, version, protocol, status] += 1
            self._rows[model, version] += rows
            self._seconds[model, version] = self._seconds.get((model, version), 0.0) + seconds
            counts = self._latency.get((model, version))
            if counts is None:
                counts = self._latency[model, version] = [0] * (len(BUCKETS) + 1)
            counts[bisect_left(BUCKETS, seconds)] += 1

    def count(self, event: str, number: int = 1) -> None:
        """Count an event, such as ``unlogged``."""
        with self._lock:
            self.events[event] += number

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[Labels, float]]]]) -> str:
        """Return all metrics.

        Args:
            gauges: by name: a sentence about it, and its values at present by labels.
        """
        with self._lock:
            self._add()
            requests, rows, events = self._requests.copy(), self._rows.copy(), self.events.copy()
            latency = {key: list(counts) for key, counts in self._latency.items()}
            seconds = self._seconds.copy()
        lines: list[str] = []
        _family(lines, "pantheon_requests_total", "counter", "Requests that reached a model.")
        for (model, version, protocol, status), count in sorted(requests.items()):
            kind = (("model", model), ("version", version), ("protocol", protocol), ("status", str(status)))
            lines.append(_line("pantheon_requests_total", kind, count))
        _family(lines, "pantheon_rows_total", "counter", "Rows that were predicted.")
        for (model, version), count in sorted(rows.items()):
            lines.append(_line("pantheon_rows_total", (("model", model), ("version", version)), count))
        name = "pantheon_request_seconds"
        _family(lines, name, "histogram", "Time from the arrival of a request's body to its answer.")
        for (model, version), counts in sorted(latency.items()):
            labels = (("model", model), ("version", version))
            total = 0
            for bound, count in zip((*map(repr, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(_line(f"{name}_bucket", (*labels, ("le", bound)), total))
            lines.append(_line(f"{name}_sum", labels, seconds[model, version]))
            lines.append(_line(f"{name}_count", labels, total))
        _family(lines, "pantheon_events_total", "counter", "Other events, by kind.")
        lines += [_line("pantheon_events_total", (("kind", kind),), count) for kind, count in sorted(events.items())]
        for name, (about, found) in gauges.items():
            _family(lines, name, "gauge", about)
            lines += [_line(name, labels, value) for labels, value in found]
        return "\n".join(lines) + "\n"


def _family(lines: list[str], name: str, kind: str, about: str) -> None:
    lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels)
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"

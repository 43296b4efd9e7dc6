"""The figures of a cell: their names in the report's JSON, and how they are shown and compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pantheon import durations

MISSING = "\u2013"  # a dash
VERSION = 1  # of the report's JSON: a figure may be added within a version, and none is renamed or removed


@dataclass(frozen=True)
class Figure:
    """One number that is measured for every cell.

    Attributes:
        key: its name in the JSON.
        title: its name for people.
        unit: ``s``, ``MB``, ``ms``, ``%``, ``per s`` or empty for a count.
        noise: the relative difference between two reports that is not worth showing.
        least: the same, absolute.
    """

    key: str
    title: str
    unit: str = ""
    noise: float = 0.0
    least: float = 0.0

    def shown(self, value: Any) -> str:
        """Return a value of this figure for people; a dash if it was not measured."""
        if value is None:
            return MISSING
        if self.unit == "s":
            return durations.words(float(value))
        if self.unit == "ms":
            return f"{value:.2f} ms" if value < 10 else f"{value:,.0f} ms"
        if self.unit == "%":
            return f"{value:.1f} %"
        number = f"{value:,.0f}"
        return number if self.unit in ("", "per s") else f"{number} {self.unit}"

    def differs(self, before: float, after: float) -> bool:
        """Return whether two values differ by more than repeating the measurement would explain."""
        return abs(after - before) > max(self.least, self.noise * abs(before), 1e-9)


GROUPS: dict[str, tuple[Figure, ...]] = {
    "Start": (
        Figure("start_s", "from nothing until healthy", "s", 0.2, 1),
        Figure("run_s", "one run of the workflow", "s", 0.2, 1),
        Figure("from_down_s", "from down until healthy", "s", 0.2, 1),
        Figure("up_again_s", "up, already up", "s", 0.3, 0.5),
        Figure("down_s", "down", "s", 0.3, 0.5),
    ),
    "Memory and processor": (
        Figure("memory_idle_mb", "memory, idle", "MB", 0.1, 15),
        Figure("memory_peak_mb", "memory, peak of a run", "MB", 0.15, 30),
        Figure("cpu_idle_percent", "processor, idle (of one core)", "%", 0.5, 3),
    ),
    "Disk": (
        Figure("software_mb", "environments or images", "MB", 0.02, 5),
        Figure("software_made_s", "making the environments, packages in the cache", "s", 0.3, 3),
        Figure("state_mb", "the deployment's folder", "MB", 0.2, 5),
        Figure("disk_mb", "disk, total", "MB", 0.02, 5),
    ),
    "Predictions": (
        Figure("predict_p50_ms", "latency, 1 client, median", "ms", 0.25, 0.1),
        Figure("predict_p99_ms", "latency, 1 client, 99 %", "ms", 0.5, 1),
        Figure("predict_per_s", "requests a second, 1 client", "per s", 0.25),
        Figure("predict16_p50_ms", "latency, 16 clients, median", "ms", 0.25, 0.5),
        Figure("predict16_p99_ms", "latency, 16 clients, 99 %", "ms", 0.5, 2),
        Figure("predict16_per_s", "requests a second, 16 clients", "per s", 0.25),
    ),
    "Parts": (
        Figure("services", "services"),
        Figure("processes", "processes", "", 0.1, 2),
        Figure("ports", "open ports"),
        Figure("ports_outside", "of these, reachable from other machines"),
        Figure("secrets", "secrets"),
        Figure("packages", "Python packages"),
        Figure("lines_compose", "lines of compose files"),
        Figure("lines_helm", "lines of Helm values"),
    ),
    "Answers and faults": (
        Figure("questions_answered", "questions answered"),
        Figure("kills_healed", "killed services that came back"),
        Figure("kills_slowest_s", "the slowest of them", "s", 0.5, 2),
        Figure("kills_unanswered", "predictions not answered while services were killed", "", 0.5, 20),
        Figure("kills_unlogged", "answers missing from the log of predictions"),
    ),
}  # fmt: skip
ALL = tuple(figure for group in GROUPS.values() for figure in group)
BY_KEY: Mapping[str, Figure] = {figure.key: figure for figure in ALL}

"""Collect the metrics of a trial from its output, a file of lines or of JSON, or event files, as Katib's collectors do.

A filter is a regular expression in Go's syntax (RE2), with two groups: the metric's name and its value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pantheon.kubeflow.contract import Refused

DEFAULT_FILTER = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
DEFAULT_PATHS = {"File": "/var/log/katib/metrics.log", "TensorFlowEvent": "/var/log/katib/tfevent/"}
KINDS = ("StdOut", "File", "TensorFlowEvent")
ON_A_CLUSTER = ("PrometheusMetric", "Custom", "Push")
UNAVAILABLE = "unavailable"
LONGEST_LINE = 65_536  # bytes; the rest of a longer line is not read
MOST_REPORTS = 100_000  # of a trial
TWO_GROUPS = re.compile(r".*\(.*\).*\(.*\).*", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """Where the metrics of a trial are.

    Attributes:
        kind: one of ``KINDS``.
        path: of the file, or of the folder with event files, as the template names it; empty for the output.
        json: whether each line of the file is a JSON object.
    """

    kind: str = "StdOut"
    path: str = ""
    json: bool = False
    filters: tuple[str, ...] = (DEFAULT_FILTER,)


def source_of(given: Mapping[str, Any] | None, path: str) -> Source:
    """Read ``metricsCollectorSpec``.

    Raises:
        Refused: it is not valid, or needs a cluster.
    """
    given = given or {}
    collector, source = given.get("collector") or {}, given.get("source") or {}
    kind = collector.get("kind") or "StdOut"
    at = f"{path}.collector.kind"
    if kind in ON_A_CLUSTER:
        raise Refused(at, f"{kind} needs a cluster.", f"Without one, use one of: {', '.join(KINDS)}.")
    if kind not in KINDS:
        raise Refused(at, f"there is no collector {kind!r}.", f"Use one of: {', '.join(KINDS)}.")
    if collector.get("customCollector") is not None:
        raise Refused(f"{path}.collector.customCollector", "needs a cluster.", "Remove it.")
    if source.get("httpGet") is not None:
        raise Refused(f"{path}.source.httpGet", "needs a cluster.", "Remove it.")
    filters = (source.get("filter") or {}).get("metricsFormat") or []
    where = f"{path}.source.filter"
    for index, each in enumerate(filters):
        _filter(each, f"{where}.metricsFormat[{index}]")
    place = source.get("fileSystemPath")
    if kind == "StdOut":
        if place is not None:
            raise Refused(f"{path}.source.fileSystemPath", "is not for the collector StdOut.", "Use the kind File.")
        return Source(kind, filters=tuple(filters) or (DEFAULT_FILTER,))
    named, of_json = _place(kind, place or {}, f"{path}.source.fileSystemPath")
    if filters and (of_json or kind == "TensorFlowEvent"):
        raise Refused(where, "is only for lines of text.", "Remove it.")
    return Source(kind, named, of_json, tuple(filters) or (DEFAULT_FILTER,))


def _place(kind: str, given: Mapping[str, Any], path: str) -> tuple[str, bool]:
    """Return the path and whether the file has JSON."""
    wanted = "File" if kind == "File" else "Directory"
    if (given.get("kind") or wanted) != wanted:
        raise Refused(f"{path}.kind", f"must be {wanted} for the collector {kind}.")
    named, format = given.get("path") or DEFAULT_PATHS[kind], given.get("format") or ""
    parts = named.strip("/").split("/")
    if not named.startswith("/") or not parts[0] or ".." in parts:
        raise Refused(
            f"{path}.path", f"{named!r} must be an absolute path without '..'.", "Such as /var/log/katib/metrics.log."
        )
    if format and (kind != "File" or format not in ("TEXT", "JSON")):
        cure = "Use TEXT or JSON." if kind == "File" else "Remove it."
        raise Refused(f"{path}.format", f"{format!r} is not for the collector {kind}.", cure)
    return named, format == "JSON"


def _filter(text: str, path: str) -> None:
    import re2

    try:
        groups = re2.compile(text, _quiet()).groups
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise Refused(path, f"is not a regular expression: {said}.", "Write it in the syntax of Go (RE2).") from None
    if groups < 2 or not TWO_GROUPS.match(text):
        raise Refused(path, "needs two groups, the metric's name and its value.", f"Such as {DEFAULT_FILTER}")


def _quiet() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options


@dataclass(frozen=True)
class Report:
    """One value of one metric, as text; ``at`` is the time that its line names, if it does."""

    name: str
    value: str
    at: datetime | None = None


@dataclass
class Lines:
    """Reads reports from lines as they are written.

    Args:
        names: the metrics to collect, the objective's first.
    """

    source: Source
    names: Sequence[str]
    reports: list[Report] = field(default_factory=list)
    rest: bytes = b""

    def __post_init__(self) -> None:
        import re2

        self.filters = [] if self.source.json else [re2.compile(each, _quiet()) for each in self.source.filters]

    def feed(self, content: bytes, ended: bool = False) -> list[Report]:
        """Take the next bytes; return the new reports.

        Args:
            ended: a last line without a line feed is complete, too.
        """
        *lines, self.rest = (self.rest + content).split(b"\n")
        if ended and self.rest:
            lines.append(self.rest)
            self.rest = b""
        if len(self.rest) > LONGEST_LINE:
            self.rest = self.rest[:LONGEST_LINE]
        found: list[Report] = []
        for line in lines:
            if len(self.reports) + len(found) < MOST_REPORTS:
                text = line[:LONGEST_LINE].decode(errors="replace").rstrip("\r")
                found += self._json(text) if self.source.json else self._text(text)
        self.reports += found
        return found

    def _text(self, line: str) -> list[Report]:
        if not any(name in line for name in self.names):
            return []
        at = _time(line.partition(" ")[0])
        return [
            Report(found[1].strip(), (found[2] or "").strip(), at)
            for each in self.filters
            for found in each.finditer(line)
            if (found[1] or "").strip() in self.names
        ]

    def _json(self, line: str) -> list[Report]:
        try:
            found = json.loads(line)
        except ValueError:
            return []
        if not isinstance(found, dict):
            return []
        stamp = found.get("timestamp")
        at = _time(stamp) if isinstance(stamp, str) else _seconds(stamp)
        return [Report(name, found[name], at) for name in self.names if isinstance(found.get(name), str)]


def _time(text: str) -> datetime | None:
    """Return a time of RFC 3339 with a zone; None for other text."""
    if len(text) < 20 or text[10:11] not in ("T", "t"):
        return None
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _seconds(stamp: Any) -> datetime | None:
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def observation(reports: Sequence[Report], names: Sequence[str]) -> list[dict[str, str]]:
    """Return ``status.observation.metrics``: the least, the greatest and the latest value of each metric, as text."""
    metrics: list[dict[str, str]] = []
    for name in names:
        metric = {"name": name, "min": UNAVAILABLE, "max": UNAVAILABLE, "latest": UNAVAILABLE}
        newest: datetime | None = None
        for report in reports:
            if report.name != name:
                continue
            value = number(report.value)
            if value is not None:
                least, most = number(metric["min"]), number(metric["max"])
                if least is None or value < least:
                    metric["min"] = report.value
                if most is None or value > most:
                    metric["max"] = report.value
            if newest is None or (report.at is not None and report.at >= newest):
                metric["latest"] = report.value
                newest = report.at
        metrics.append(metric)
    return metrics


def value_of(metrics: Sequence[Mapping[str, str]], name: str, strategy: str) -> float | None:
    """Return the value of a metric that counts, by its strategy; None if there is none that is a number."""
    metric = next((each for each in metrics if each["name"] == name), None)
    if metric is None:
        return None
    value = number(metric[strategy])
    return number(metric["latest"]) if value is None else value


def number(text: str) -> float | None:
    """Return a text as a finite number; None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None  # neither infinite nor NaN

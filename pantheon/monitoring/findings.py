"""What the checks of one window find, and what they leave to the next one."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pantheon.monitoring.report import Alert, Level, Memory, Report
from pantheon.monitoring.statistics import Count

ROOM = 0.1  # of a window: so far two windows may overlap or be apart and still follow each other


@dataclass
class Findings:
    """The alerts of a window, and its memory.

    Attributes:
        memory: of the window before; empty if there is none, or it is long ago.
        follows: whether this window is the next one; else it overlaps with that one (somebody asked in between), and
            adds nothing to what is known.
        same: whether the same version answers.
        alerts: of this window.
        undecided: (check, subject) of what could not be looked at: earlier alerts about it stay.
        strikes, counts, bins, waiting: the memory for the next window.
    """

    memory: Memory
    earlier: list[Alert]
    follows: bool
    same: bool
    alerts: list[Alert] = field(default_factory=list)
    undecided: set[tuple[str, str]] = field(default_factory=set)
    strikes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)
    bins: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting: dict[str, Count] = field(default_factory=dict)

    @classmethod
    def after(cls, previous: Report | None, since: datetime, window: timedelta, version: str) -> "Findings":
        """Begin a window."""
        if previous is None:
            return cls(Memory(), [], True, True)
        until = datetime.fromisoformat(previous.until)
        memory = previous.memory
        if until < since - window * ROOM:  # there is a gap: not in a row
            memory = Memory({}, memory.counts, memory.bins, memory.waiting)
        same = not version or not previous.version or previous.version == version
        return cls(memory, previous.alerts, until <= since + window * ROOM, same)

    def alert(self, level: Level, check: str, subject: str, text: str, look: str) -> None:
        self.alerts.append(Alert(level, check, subject, text, look))

    def strike(self, name: str, hit: bool | None) -> int:
        """Note whether something was found; return in how many windows in a row it has been.

        Args:
            hit: None: it could not be looked at, and nothing changes.
        """
        before = self.memory.strikes.get(name, 0)
        if hit is None:
            now = before
        elif not hit:
            now = 0
        else:
            now = before + 1 if self.follows else max(before, 1)
        if now:
            self.strikes[name] = now
        return now

    def usual(self, name: str) -> Count:
        """Return the sums over the windows before."""
        return self.memory.counts.get(name, (0, 0))

    def learn(self, name: str, count: Count) -> None:
        """Add to the sums, for the next window."""
        all_, some = self.counts.get(name, self.usual(name))
        self.counts[name] = (all_ + count[0], some + count[1]) if self.follows else (all_, some)

    def keep(self, prefix: str) -> None:
        """Keep the sums whose names begin so, where nothing was added."""
        for name, count in self.memory.counts.items():
            if name.startswith(prefix):
                self.counts.setdefault(name, count)

    def end(self) -> Memory:
        """Repeat earlier alerts about what could not be looked at; return the memory for the next window."""
        found = {(alert.check, alert.subject) for alert in self.alerts}
        for alert in self.earlier:
            key = (alert.check, alert.subject)
            if key in self.undecided and key not in found:
                self.alerts.append(alert)
        self.alerts.sort(key=lambda alert: (alert.level != "page", alert.check, alert.subject))
        return Memory(self.strikes, self.counts, self.bins, self.waiting)

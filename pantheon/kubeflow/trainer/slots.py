"""The machine's slots for nodes, and who gets them: the queue of TrainJobs, with preemption, as Kueue has it.

The job with the highest priority is the first one, of several the oldest. It starts as soon as there are slots for all
its nodes; no other job overtakes it meanwhile (Kueue's StrictFIFO), so a large job does not wait for ever. If it does
not fit, jobs with a lower priority are stopped until it does, and queue again: the lowest first, then the youngest.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

POLL_SECONDS = 0.1  # between two looks at whether the job that waits is to stop


@dataclass(eq=False)
class Place:
    """A job's place in the queue; see ``Slots.enter``.

    Attributes:
        key: the job's name, for messages.
        created: when the job was created, as text that sorts by time.
        slots: how many it needs.
        evicted_by: the job that takes its slots; empty: none. It then stops its nodes and calls ``queue_again``.
    """

    key: str
    priority: int
    created: str
    slots: int
    running: bool = False
    since: float = 0.0
    evicted_by: str = ""

    def order(self) -> tuple[int, str, str]:
        return -self.priority, self.created, self.key


def victims(head: Place, running: Sequence[Place], free: int) -> list[Place]:
    """Return the jobs to stop so that ``head`` fits: as few and as unimportant as possible; none if it never would.

    Args:
        running: jobs that hold slots, those being stopped included.
        free: slots that no job holds.
    """
    missing = head.slots - free - sum(each.slots for each in running if each.evicted_by)
    lower = [each for each in running if each.priority < head.priority and not each.evicted_by]
    chosen: list[Place] = []
    for each in sorted(lower, key=lambda place: (place.priority, -place.since)):
        if sum(place.slots for place in chosen) >= missing:
            break
        chosen.append(each)
    if sum(place.slots for place in chosen) < missing:
        return []
    for each in reversed(chosen[:]):  # the last ones may have made earlier ones superfluous
        if sum(place.slots for place in chosen) - each.slots >= missing:
            chosen.remove(each)
    return chosen


@dataclass
class Slots:
    """The slots of a machine. Thread-safe.

    Attributes:
        total: how many nodes run at once.
    """

    total: int
    places: list[Place] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, key: str, priority: int, created: str, slots: int) -> Place:
        """Join the queue; call ``wait``, and ``leave`` at the end."""
        place = Place(key, priority, created, slots)
        with self._changed:
            self.places.append(place)
            self._decide()
        return place

    def wait(self, place: Place, stopping: threading.Event) -> bool:
        """Wait until a job may run; return False if ``stopping`` is set."""
        with self._changed:
            while not place.running and not stopping.is_set():
                self._changed.wait(POLL_SECONDS)
            return place.running and not stopping.is_set()

    def queue_again(self, place: Place) -> None:
        """Give a job's slots back; it waits for them again, in its old order."""
        with self._changed:
            place.running, place.evicted_by = False, ""
            self._decide()

    def leave(self, place: Place) -> None:
        """Give a job's slots back, for good."""
        with self._changed:
            self.places.remove(place)
            self._decide()

    def ahead(self, place: Place) -> str:
        """Say what a job that waits is waiting for."""
        with self._changed:
            free = self.total - sum(each.slots for each in self.places if each.running)
            first = min((each for each in self.places if not each.running), key=Place.order, default=place)
        said = f"{place.slots} of {self.total} slots ({free} free)"
        return said if first is place else f"{said}, {first.key} is first"

    def _decide(self) -> None:
        """Admit and evict until nothing changes; the lock is held."""
        for head in sorted((each for each in self.places if not each.running), key=Place.order):
            running = [each for each in self.places if each.running]
            free = self.total - sum(each.slots for each in running)
            if head.slots > free:
                for each in victims(head, running, free):
                    each.evicted_by = head.key
                break
            head.running, head.since = True, time.monotonic()
        self._changed.notify_all()

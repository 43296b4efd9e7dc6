"""The service that stores the log: segments of the spool every second, from time to time merges and removals; and what
follows from the feedback in it: the shares of bandits."""

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pantheon.errors import PantheonError, describe
from pantheon.files import Busy
from pantheon.predictions.compact import compact
from pantheon.predictions.keep import asked, carry_out, retain
from pantheon.predictions.layout import Layout
from pantheon.predictions.learning import Learner
from pantheon.predictions.place import ROOT, FolderPlace, bring, open_place, writing
from pantheon.predictions.ship import ship, storing

EVERY_SECONDS = 1.0  # between looks at the spool
FORGET_SECONDS = 10.0
COMPACT_SECONDS = 300.0
FIRST_LEARN_SECONDS = 10.0  # after the start, when other services start too
LEARN_SECONDS = 60.0  # the log is only read if a routing policy has a bandit
RETAIN_SECONDS = 3600.0
LONGEST_PAUSE = 10.0  # seconds, while the place does not answer


def _never() -> float:
    return float("-inf")


@dataclass
class Service:
    """Stores what is in ``spool`` where the deployment ``state`` keeps its models.

    Attributes:
        keep: for how long predictions are kept; None: for ever.
        say: is told what happens, as sentences; the same trouble is told once.
    """

    state: Path
    spool: Path
    keep: timedelta | None
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    _done: dict[str, float] = field(default_factory=dict)
    _told: tuple[str, ...] = ()
    _layout: Layout | None = None

    def __post_init__(self) -> None:
        self._learner = Learner(self.state, self.say)

    def run(self) -> None:
        """Work until ``stop`` is set; then store what is closed by then."""
        with ExitStack() as held:
            if not self._alone(held):
                return
            pause = EVERY_SECONDS
            self._done["learn"] = time.monotonic() - LEARN_SECONDS + FIRST_LEARN_SECONDS
            while not self.stop.wait(pause):
                pause = EVERY_SECONDS if self.look() else min(pause * 2, LONGEST_PAUSE)
            self._learner.end()
            self.look()

    def look(self) -> bool:
        """Do what is due; return whether it worked. While the log is moved to another place, nothing is done."""
        try:
            with writing(self.state, timeout=0):
                trouble = self._work()
        except Busy:
            return True
        except PantheonError as error:
            trouble = (str(error),)
        except OSError as error:
            trouble = (str(describe(error, self.spool)),)
        except Exception:  # noqa: BLE001 - such as a damaged file that is merged: new segments are stored all the same
            trouble = (traceback.format_exc(),)
        for line in trouble:
            if line not in self._told:
                self.say(line)
        if self._told and not trouble:
            self.say("Predictions are stored again.")
        self._told = trouble
        return not trouble

    def _work(self) -> tuple[str, ...]:
        place = open_place(self.state)  # each time: the store may move
        if self._layout is None or self._layout.place.where != place.where:
            self._layout = Layout(place)
        layout = self._layout
        before = FolderPlace(self.state / ROOT)
        if moved := bring(before, place):
            self.say(f"{moved:,} files of the log were moved from {before.where} to {place.where}.")
        problems = ship(place, self.spool, layout).problems
        if self._told or self._due("forget", FORGET_SECONDS):  # after trouble: this shows whether the place answers
            for request in asked(place):
                if done := carry_out(layout, self.spool, request):
                    self.say(f"Forgotten as asked ({done.column}): {done.words()}")
        if self.keep and self._due("retain", RETAIN_SECONDS):
            for folder in retain(layout, self.keep):
                self.say(f"{folder} was removed: it is older than {self.keep.days} days.")
        if not self.stop.is_set() and self._due("compact", COMPACT_SECONDS):
            compact(layout)
        self._learner.look()
        if not self.stop.is_set() and self._due("learn", LEARN_SECONDS):
            self._learner.start()
        return problems

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._done.get(what, _never()) < seconds:
            return False
        self._done[what] = now
        return True

    def _alone(self, held: ExitStack) -> bool:
        """Wait until no other process stores this spool, such as the release before; return False if stopped."""
        told = False
        while not self.stop.is_set():
            try:
                held.enter_context(storing(self.spool, timeout=EVERY_SECONDS))
            except Busy:
                if not told:
                    self.say(f"Another process stores what is in {self.spool}; waiting for its end.")
                    told = True
            else:
                return True
        return False

"""Shadow versions: they predict the same rows after the answer went out, and are only logged.

One thread works on them, from a queue that is looked at every ``PAUSE_SECONDS``, or more rarely if it was empty for a
while: a request only appends to it and wakes nobody, so that a shadow that is slow, fails or never ends costs a request
nothing. What does not fit is dropped and counted.
"""

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, perf_counter

from serving.features.origins import blamed
from serving.inference.forms import Asked
from serving.inference.metrics import Metrics
from serving.model.predictor import Answer, Predictor
from serving.problems import Problem

PAUSE_SECONDS = 0.01
IDLE_SECONDS = 0.2
IDLE_LOOKS = 100  # at an empty queue, after which it is looked at every ``IDLE_SECONDS``
SECONDS = 1.0  # for one prediction of a shadow
MOST_WAITING = 1_000  # requests in the queue
MOST_ROWS = 100  # of a request that shadows predict


@dataclass(frozen=True, slots=True)
class Result:
    """What a shadow made of a request.

    Attributes:
        answer: None if it failed.
        milliseconds: that it took.
        error: why it failed.
    """

    predictor: Predictor
    answer: Answer | None
    milliseconds: float
    status: int = 200
    error: str = ""


Join = Callable[[Predictor, Asked, float], Asked]  # looks up the features of entities until a time
Work = tuple[Predictor, Asked, Callable[[Asked, Result], None], Join | None]


class Shadows:
    """The queue and its thread, from ``start`` to ``stop``."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._waiting: deque[Work] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, within ``SECONDS``, and stop."""
        self._end.set()
        self._thread.join(SECONDS)

    def add(
        self, predictor: Predictor, asked: Asked, done: Callable[[Asked, Result], None], join: Join | None = None
    ) -> None:
        """Have ``predictor`` answer the rows of ``asked`` later.

        Args:
            done: called in the thread of the shadows with what was asked, joined, and the result.
            join: each version reads features of its own.
        """
        if len(self._waiting) >= MOST_WAITING or len(asked.rows) > MOST_ROWS:
            self.metrics.count("shadow dropped")
        else:
            self._waiting.append((predictor, asked, done, join))

    def _run(self) -> None:
        empty = 0
        while True:
            ending = self._end.wait(PAUSE_SECONDS if empty < IDLE_LOOKS else IDLE_SECONDS)
            empty = 0 if self._waiting else empty + 1
            while self._waiting:
                try:
                    self._work(*self._waiting.popleft())
                except Exception:  # noqa: BLE001 - a fault in the log must not end the thread
                    self.metrics.count("shadow failed")
                    traceback.print_exc(file=sys.stderr)
            if ending:
                return

    def _work(
        self, predictor: Predictor, asked: Asked, done: Callable[[Asked, Result], None], join: Join | None
    ) -> None:
        began = perf_counter()
        answer, status, error = None, 200, ""
        deadline = monotonic() + SECONDS
        try:
            if join:
                asked = join(predictor, asked, deadline)
            answer = predictor.predict(asked.rows, True, deadline)
        except Problem as problem:  # TooSlow included
            problem = blamed(problem, asked.origins)
            status, error = problem.status, problem.message
        self.metrics.count("shadow answered" if answer else "shadow refused")
        done(asked, Result(predictor, answer, (perf_counter() - began) * 1000, status, error))

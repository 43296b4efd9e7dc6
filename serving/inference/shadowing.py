"""The process in which shadow versions predict: ``python -m serving.inference.shadowing DESCRIPTOR``.

It gets lists of ``Copy`` through the pipe with this descriptor, predicts and logs them one after the other, and sends
back what it counted. Its environment is the endpoint's. It ends when the endpoint closes its side of the pipe, or ends.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, perf_counter

from pantheon.predictions.records import Answered
from serving import memory
from serving.features.joining import Online
from serving.features.origins import blamed
from serving.inference import settings
from serving.inference.entities import joined, marked
from serving.inference.journal import Journal, answer_of, rows_of
from serving.inference.metrics import Metrics
from serving.inference.shadows import Copy, unpack
from serving.model.predictor import Predictor
from serving.problems import Problem

PRIORITY = 19  # the lowest
PAUSE_SECONDS = 0.001  # between lists, so that the scheduler moves this process off a CPU that requests use
SECONDS = 1.0  # for one prediction
KEPT_SECONDS = 60.0  # that a version stays loaded after its last prediction

Open = Callable[[Path, str, str, str], Predictor]  # folder, model, version and since when it is the champion


class Shadowing:
    """Predicts copies of requests, and logs the answers.

    Args:
        online: the features of entities; None: they cannot be looked up.
        opened: opens a version.
    """

    def __init__(
        self, journal: Journal, metrics: Metrics, online: Online | None = None, opened: Open = Predictor
    ) -> None:
        self.journal, self.metrics, self.online, self._opened = journal, metrics, online, opened
        self._loaded: dict[tuple[str, str], tuple[Predictor, float]] = {}  # and when it was used

    def work(self, copies: list[Copy]) -> dict[str, int]:
        """Predict and log; return what was counted."""
        for copy in copies:
            try:
                self._work(copy)
                os.sched_yield()  # a request waits for this CPU; a kernel that preempts lazily waits for a system call
            except Exception:  # noqa: BLE001 - a version that cannot be loaded, or a fault in one request
                self.metrics.count("shadow failed")
                traceback.print_exc(file=sys.stderr)
        self._drop()
        counted = dict(self.metrics.events)
        self.metrics.events.clear()
        return counted

    def _work(self, copy: Copy) -> None:
        predictor = self._predictor(copy)
        asked, answer, status, error = copy.asked, None, 200, ""
        began = perf_counter()
        deadline = monotonic() + SECONDS
        try:
            asked = joined(self.online, predictor, asked, deadline)
            answer = predictor.predict(asked.rows, True, deadline)
        except Problem as problem:  # TooSlow included
            problem = blamed(problem, asked.origins)
            status, error = problem.status, problem.message
            asked = marked(asked, predictor)
        record = Answered(
            id=copy.origin.id,
            at=time.time_ns() // 1000,
            model=copy.model,
            version=copy.version,
            arm="shadow",
            reason="shadow",
            key=copy.origin.key,
            ms=round((perf_counter() - began) * 1000, 3),
            status=status,
            error=error,
            trace=copy.origin.trace,
            shadow=True,
        )
        self.metrics.count("shadow answered" if answer else "shadow refused")
        self.journal.write(record, rows_of(asked), answer_of(answer))

    def _predictor(self, copy: Copy) -> Predictor:
        key = copy.model, copy.version
        found = self._loaded.get(key)
        predictor = found[0] if found else self._opened(Path(copy.folder), copy.model, copy.version, copy.since)
        self._loaded[key] = predictor, monotonic()
        return predictor

    def _drop(self) -> None:
        """Drop the versions that are no shadows any more."""
        old = [key for key, (_, used) in self._loaded.items() if monotonic() - used > KEPT_SECONDS]
        for key in old:
            del self._loaded[key]
        if old:
            memory.give_back()


def main(descriptor: int) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):  # the endpoint gets them too, and sends what is left
        signal.signal(number, signal.SIG_IGN)
    os.nice(PRIORITY)
    memory.limit()
    mode, spool = settings.log(Path(os.environ["STATE_DIR"]))
    kserve, online, metrics = settings.predicting(), settings.online(), Metrics()
    if online:
        online.count = metrics.count
    journal = Journal(spool, mode, metrics)
    work = Shadowing(journal, metrics, online, kserve.open if kserve else Predictor).work
    with Connection(descriptor) as endpoint, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            endpoint.send(work(unpack(endpoint.recv_bytes())))
            time.sleep(PAUSE_SECONDS)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

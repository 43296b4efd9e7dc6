"""Where predictions run: small ones directly in the calling thread, others in threads, so that none holds up the rest.

A model may need long for some values, or never end. A small request that is not answered within ``DIRECT_SECONDS`` is
stopped and repeated in threads of its own, and for ``FIRST_REST_SECONDS``, or ``REST_SECONDS`` if that happens again,
no other request is answered directly by this version. Every request ends ``predictor.SECONDS`` after it arrived. Where
another server predicts, small ones wait for it in threads.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from pantheon.web.messages import Response
from serving.model import predictor
from serving.model.predictor import TooSlow

SMALL_BYTES = 16 * 1024  # of a body whose prediction usually takes less than a millisecond
LARGE_BYTES = 1024 * 1024  # of a body that is decoded alone: its values take many times its size
DIRECT_SECONDS = 0.1
FIRST_REST_SECONDS, REST_SECONDS = 1.0, 60.0
WAITING = 16  # threads that wait for another server

Work = Callable[[float], Response]  # the deadline → the answer; raises TooSlow
Late = Callable[[TooSlow], Response]


class Lanes:
    """The threads for predictions.

    Args:
        late: the answer to a request without a prediction at its deadline.
        elsewhere: another server predicts.
    """

    def __init__(self, late: Late, elsewhere: bool = False) -> None:
        self.late = late
        self.waiting = ThreadPoolExecutor(WAITING, "waiting") if elsewhere else None
        self.large = ThreadPoolExecutor(1, "large")
        self.batches = ThreadPoolExecutor(2, "batch")
        self.small = ThreadPoolExecutor(2, "small")
        self.slow = ThreadPoolExecutor(2, "slow")
        self._resting: dict[str, float] = {}  # versions that were slow, and until when they are not asked directly

    def run(self, work: Work, size: int, version: str, late: Late | None = None) -> Response | Future[Response]:
        """Answer a request.

        Args:
            size: of its body, in bytes.
            version: the model's, to remember whether it is slow.
            late: of this request, instead of the one for all.
        """
        late = late or self.late
        now = monotonic()
        if size > SMALL_BYTES:
            return (self.large if size > LARGE_BYTES else self.batches).submit(
                self._last, work, now + predictor.SECONDS, late
            )
        if self.waiting:
            return self.waiting.submit(self._last, work, now + predictor.SECONDS, late)
        if self._resting and now < self._resting.get(version, 0.0):
            answered: Future[Response] = Future()
            self.small.submit(self._first, work, now + predictor.SECONDS, answered, late)
            return answered
        try:
            return work(now + DIRECT_SECONDS)
        except TooSlow:
            return self.slow.submit(self._last, work, monotonic() + predictor.SECONDS, late)
        finally:
            if monotonic() - now > DIRECT_SECONDS:
                self._rest(version)

    def _rest(self, version: str) -> None:
        """Do not ask a version directly for a while; only briefly at first: it may be the machine that was slow."""
        now = monotonic()
        slow = {each: until for each, until in self._resting.items() if now < until + REST_SECONDS}
        self._resting = slow | {version: now + (REST_SECONDS if version in slow else FIRST_REST_SECONDS)}

    def _first(self, work: Work, end: float, answered: Future[Response], late: Late) -> None:
        try:
            answered.set_result(work(min(monotonic() + DIRECT_SECONDS, end)))
        except TooSlow:
            self.slow.submit(self._settle, work, end, answered, late)
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
            answered.set_exception(error)

    def _settle(self, work: Work, end: float, answered: Future[Response], late: Late) -> None:
        try:
            answered.set_result(self._last(work, end, late))
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
            answered.set_exception(error)

    def _last(self, work: Work, end: float, late: Late) -> Response:
        try:
            return work(end)
        except TooSlow as error:
            return late(error)

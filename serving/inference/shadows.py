"""Shadow versions: they predict the same rows after the answer went out, and are only logged.

They predict in a process of their own (``serving.inference.shadowing``), of the lowest priority: in this one, each of
their predictions would hold up requests, because one thread of Python runs at a time. A request only appends to a
queue and wakes nobody. A thread sends what is in it every ``PAUSE_SECONDS``, and the next when that has been answered,
so that a shadow that is slow, fails, never ends or takes its process down costs a request nothing. What does not fit is
dropped and counted.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import monotonic

import msgspec

from serving.inference.forms import Asked
from serving.inference.journal import Origin
from serving.inference.metrics import Metrics
from serving.model.predictor import Predictor

MODULE = "serving.inference.shadowing"
PAUSE_SECONDS = 0.1
IDLE_SECONDS = 120.0  # without a shadow, after which the process is ended
AGAIN_SECONDS = 5.0  # from the end of a process that failed to the start of the next
STOP_SECONDS = 1.0  # to finish what waits
MOST_WAITING = 2_000  # requests in the queue
MOST_SENT = 30  # requests at one time; while more are packed, a request waits
MOST_ROWS = 100  # of a request that shadows predict


pack = msgspec.msgpack.Encoder().encode


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """A request for a shadow.

    Attributes:
        folder, model, version, since: of the version that answers it; see ``Predictor``.
        asked: without the features of entities, because each version reads its own.
    """

    folder: str
    model: str
    version: str
    since: str
    origin: Origin
    asked: Asked


unpack = msgspec.msgpack.Decoder(list[Copy]).decode


class Shadows:
    """The queue, its thread and the process, from ``start`` to ``stop``.

    Args:
        environment: of the process, besides that of this one.
    """

    def __init__(self, metrics: Metrics, environment: Mapping[str, str] | None = None) -> None:
        self.metrics, self._environment = metrics, environment or {}
        self._waiting: deque[Copy] = deque()
        self._end = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, within ``STOP_SECONDS``, and stop."""
        self._end.set()
        self._thread.join(STOP_SECONDS)
        while self._thread.is_alive():
            if process := self._process:
                process.kill()  # or the thread would wait for its answer
            self._thread.join(PAUSE_SECONDS)

    def add(self, predictor: Predictor, origin: Origin, asked: Asked) -> None:
        """Have ``predictor`` answer the rows of ``asked`` later."""
        if len(self._waiting) >= MOST_WAITING or len(asked.rows) > MOST_ROWS:
            self.metrics.count("shadow dropped")
        else:
            folder = str(predictor.folder)
            self._waiting.append(Copy(folder, predictor.model, predictor.version, predictor.since, origin, asked))

    def _run(self) -> None:
        pause = PAUSE_SECONDS
        while not self._end.wait(pause):
            if self._waiting:
                pause = PAUSE_SECONDS if self._serve() else AGAIN_SECONDS

    def _serve(self) -> bool:
        """Run the process until it has had nothing to do for a while, or this stops; return whether it did not fail."""
        near, far = Pipe()
        environment = os.environ | self._environment
        command = [sys.executable, "-m", MODULE, str(far.fileno())]
        self._process = subprocess.Popen(
            command, env=environment, pass_fds=[far.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        far.close()
        with near:
            worked = self._send(near)
        status = self._process.wait()  # it ends when its side is closed
        self._process = None
        if not worked and not self._end.is_set():
            print(f"endpoint: the process of the shadows ended with {status}; another is started.", file=sys.stderr)
        return worked

    def _send(self, to: Connection) -> bool:
        used = monotonic()
        while monotonic() - used < IDLE_SECONDS:
            ending = self._end.wait(PAUSE_SECONDS)
            while self._waiting:
                used = monotonic()
                copies = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_SENT))]
                packed = self._packed(copies)
                counted = {"shadow failed": len(copies)}
                try:
                    to.send_bytes(packed)
                    counted = to.recv()
                except (EOFError, OSError):
                    return False
                finally:
                    for event, number in counted.items():
                        self.metrics.count(event, number)
            if ending:
                break
        return True

    def _packed(self, copies: list[Copy]) -> bytes:
        """Return copies as MessagePack, several times faster than a pickle; drop those that it has no form for."""
        try:
            return pack(copies)
        except (ValueError, OverflowError):  # half a character, or an integer of more than 64 bits
            for copy in copies.copy():
                try:
                    pack(copy)
                except (ValueError, OverflowError):
                    copies.remove(copy)
                    self.metrics.count("shadow dropped")
            return pack(copies)

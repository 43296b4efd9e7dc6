"""Stop predictions that take too long. ONNX Runtime stops between two nodes of a graph, also within an endless Loop."""

import threading
from time import monotonic, sleep

import onnxruntime as ort

CHECK_SECONDS = 0.02  # between checks: how late a prediction may be stopped

_running: dict[int, tuple[float, ort.RunOptions]] = {}
_lock = threading.Lock()
_watch: threading.Thread | None = None


class Stopped:
    """The block in which a session may run with these ``options``. Runs fail after ``deadline``, and when the block is
    left; before that, ``options.terminate`` is true only if the deadline has passed.

    Args:
        deadline: on the clock of ``time.monotonic``.
    """

    __slots__ = ("deadline", "options")

    def __init__(self, deadline: float) -> None:
        self.deadline, self.options = deadline, ort.RunOptions()
        self.options.log_severity_level = 4  # errors are reported to the client, not printed

    def __enter__(self) -> ort.RunOptions:
        if _watch is None:
            _start()
        _running[id(self)] = self.deadline, self.options
        return self.options

    def __exit__(self, *_: object) -> None:
        del _running[id(self)]
        self.options.terminate = True  # after an error in one part of a batch, nobody waits for the other parts


def _start() -> None:
    global _watch
    with _lock:
        if _watch is None:
            _watch = threading.Thread(target=_stop_late_ones, name="deadlines", daemon=True)
            _watch.start()


def _stop_late_ones() -> None:
    while True:
        sleep(CHECK_SECONDS)
        now = monotonic()
        for deadline, options in list(_running.values()):
            if deadline <= now:
                options.terminate = True

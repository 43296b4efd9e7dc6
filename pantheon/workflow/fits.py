"""How models are fitted side by side without the schedule changing what comes out.

Every fit and prediction runs on one thread of OpenMP and BLAS, so that sums are added in the same order everywhere, and
`threads` of them run at once in one pool of the process. Two stages that run beside each other share that pool, so
two cores never get four fits. Small fits run one at a time: they wait for Python's lock more than they compute.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from pantheon.workflow import interrupt

T = TypeVar("T")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fit")


@cache
def _controller() -> ThreadpoolController:
    import sklearn.ensemble  # the controller knows the libraries that are loaded when it is made
    import sklearn.linear_model  # noqa: F401

    return ThreadpoolController()


class _OneThread:
    """BLAS on one thread for as long as anybody is inside; its setting belongs to the whole process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.limit = None

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.limit = _controller().limit(limits=1, user_api="blas")
                self.limit.__enter__()  # type: ignore[attr-defined]
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.__exit__(None, None, None)  # type: ignore[attr-defined]


_blas = _OneThread()


@contextmanager
def openmp(threads: int) -> Iterator[None]:
    """``threads`` OpenMP threads for what this thread calls (with libgomp that setting is the thread's own)."""
    with _blas, _controller().limit(limits=threads, user_api="openmp"):
        yield


def _one(task: Callable[[], T]) -> T:
    interrupt.check()
    with openmp(1):
        return task()


SMALL = 20_000
"""Rows below which a second thread brings nothing: at 4,000, selection and tuning take 4.4 s with one and with two, and
with two 6 % more CPU and far more on a busy machine."""


def workers(rows: int, threads: int) -> int:
    """How many fits on ``rows`` rows are worth running at once; no figure depends on it."""
    return 1 if rows < SMALL else threads


def side_by_side(tasks: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """Call every task, ``threads`` of this process at once, each on one thread; results in the order of ``tasks``.

    The first error ends it: tasks not yet begun are dropped, those running are waited for. Ctrl-C too.
    """
    futures: list[Future[T]] = [_pool(threads).submit(_one, task) for task in tasks]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done():
                future.result()  # raises the first error, in the order of the tasks
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


def in_threads(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Call every task in a thread of its own: for what only waits for fits, such as a search, trial by trial."""
    with ThreadPoolExecutor(max_workers=max(1, len(tasks)), thread_name_prefix="search") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
            return [future.result() for future in futures]
        except BaseException:
            before = interrupt.stop.is_set()
            interrupt.stop.set()  # the others end after the fit they are in
            wait(futures)
            if not before:
                interrupt.stop.clear()
            raise

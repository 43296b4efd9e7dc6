"""Fit models in parallel, with results that do not depend on the schedule.

`threads` fits run at once in a process, including those of two parallel stages, every fit on one thread of OpenMP and
BLAS, so that sums are computed in the same order everywhere. Only forests run in parallel: they are fitted without the
GIL. Others hold it: two gradient boostings at once on 80,000 rows take 1.05 s, one after the other 0.88 s. A gradient
boosting that runs alone also uses OpenMP's other threads, whose number does not change the result; never beside another
fit, since OpenMP threads wait by spinning (tuning on 100,000 rows: 127 s against 34 s).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from pantheon.workflow import cancellation

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A function to call.

    Attributes:
        free: whether it runs without the GIL, so that several can run at once.
        spreads: whether it uses OpenMP's threads, with results that do not depend on their number.
    """

    call: Callable[[], T]
    free: bool = False
    spreads: bool = False


class _Lanes:
    """Run ``threads`` tasks at once, but only one that needs the GIL."""

    def __init__(self, threads: int) -> None:
        self.threads, self.slots = threads, threading.BoundedSemaphore(threads)
        self.free = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fit")
        self.bound = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fit-bound")

    def submit(self, task: Call[T]) -> Future[T]:
        return (self.free if task.free else self.bound).submit(self._run, task)

    def _run(self, task: Call[T]) -> T:
        with self.slots:
            more = 0  # free slots to use as well
            while task.spreads and more < self.threads - 1 and self.slots.acquire(blocking=False):
                more += 1
            try:
                cancellation.check()
                with limited(1 + more):
                    return task.call()
            finally:
                for _ in range(more):
                    self.slots.release()


@cache
def _lanes(threads: int) -> _Lanes:
    return _Lanes(threads)


@cache
def _controller() -> ThreadpoolController:
    import sklearn.ensemble  # the controller only sees libraries that are loaded before it
    import sklearn.linear_model  # noqa: F401

    return ThreadpoolController()


class _OneThread:
    """Limit BLAS to one thread while any thread is in the block; the setting is process-wide."""

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
def limited(threads: int) -> Iterator[None]:
    """Limit OpenMP to ``threads`` for calls of this thread (libgomp's setting is per thread), and BLAS to one."""
    with _blas, _controller().limit(limits=threads, user_api="openmp"):
        yield


def one_thread() -> AbstractContextManager[None]:
    return limited(1)


SMALL = 20_000
"""Rows of up to ten columns below which a second thread costs more than it saves."""


def threads_for(matrix: NDArray[Any], threads: int) -> int:
    """Return how many threads are worthwhile for a matrix; results do not depend on it."""
    rows, columns = matrix.shape
    return 1 if rows * max(1, columns // 10) < SMALL else threads


def run_parallel(tasks: Sequence[Call[T]], threads: int) -> list[T]:
    """Call every task, at most ``threads`` at once in this process; return the results in the order of ``tasks``.

    At the first error, and at Ctrl-C, tasks that have not started are cancelled, and running ones are waited for.
    """
    futures = [_lanes(threads).submit(task) for task in tasks]
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
    """Call every task in a separate thread: for tasks that only wait for fits, such as a search, trial by trial."""
    with ThreadPoolExecutor(max_workers=max(1, len(tasks)), thread_name_prefix="search") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
            return [future.result() for future in futures]
        except BaseException:
            before = cancellation.requested.is_set()
            cancellation.requested.set()  # the other tasks end after their current fit
            wait(futures)
            if not before:
                cancellation.requested.clear()
            raise

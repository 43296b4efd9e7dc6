"""How models are fitted side by side without the schedule changing what comes out.

`threads` fits run at once in a process, two stages beside each other counted together, each on one thread of OpenMP and
BLAS, so that sums are added in the same order everywhere. Only forests may be several: they grow without Python's lock.
Others grow under it: two gradient boostings at once on 80,000 rows take 1.05 s, one after the other 0.88 s. A gradient
boosting that runs alone takes OpenMP's other threads, whose number changes no figure of it; never beside another fit,
since they wait for each other by spinning (tuning on 100,000 rows: 127 s against 34 s).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from threadpoolctl import ThreadpoolController

from pantheon.workflow import interrupt

T = TypeVar("T")


@dataclass(frozen=True)
class Task(Generic[T]):
    """What to call; whether it computes without Python's lock, so that several of it may run at once; and whether it
    spreads over OpenMP's threads without a figure depending on how many."""

    call: Callable[[], T]
    free: bool = False
    spreads: bool = False


class _Lanes:
    """``threads`` tasks at once; of those that need Python's lock, one."""

    def __init__(self, threads: int) -> None:
        self.threads, self.slots = threads, threading.BoundedSemaphore(threads)
        self.free = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fit")
        self.bound = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fit-bound")

    def submit(self, task: Task[T]) -> Future[T]:
        return (self.free if task.free else self.bound).submit(self._run, task)

    def _run(self, task: Task[T]) -> T:
        with self.slots:
            more = 0  # the other slots, where nobody wants them now
            while task.spreads and more < self.threads - 1 and self.slots.acquire(blocking=False):
                more += 1
            try:
                interrupt.check()
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
def limited(threads: int) -> Iterator[None]:
    """``threads`` of OpenMP for what this thread calls (with libgomp that setting is the thread's own), one of BLAS."""
    with _blas, _controller().limit(limits=threads, user_api="openmp"):
        yield


def one_thread() -> AbstractContextManager[None]:
    return limited(1)


SMALL = 20_000
"""Rows below which a second thread costs more than it brings."""


def worth(rows: int, threads: int) -> int:
    """How many threads work on ``rows`` rows is worth; no figure depends on it."""
    return 1 if rows < SMALL else threads


def side_by_side(tasks: Sequence[Task[T]], threads: int) -> list[T]:
    """Call every task, ``threads`` of this process at once; results in the order of ``tasks``.

    The first error ends it: tasks not yet begun are dropped, those running are waited for. Ctrl-C too.
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

"""Deadlines of Granian's futures."""

import asyncio
import time
from typing import Any

SWEEP_SECONDS = 0.1  # between checks of the deadlines


class Deadlines(dict[Any, float]):
    """A future of Granian's → its deadline, monotonic seconds. One sweep cancels all that are late: a timer for every
    body would cost as much as reading it."""

    async def until(self, future: Any, deadline: float) -> Any:
        """Await a future until ``deadline``, then raise TimeoutError."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        self[future] = deadline
        # Neither the event nor an exception may reference the future: Granian's objects are not garbage-collected, and
        # a request that is kept alive keeps its connection open.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        try:
            await done.wait()
        finally:
            self.pop(future, None)
        if future.cancelled():
            raise TimeoutError
        return future.result()

    async def sweep(self) -> None:
        """Cancel late futures until this is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for future, deadline in list(self.items()):
                if deadline <= now:
                    self.pop(future, None)
                    future.cancel()

"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Any

MIN_PAUSE, MAX_PAUSE = 0.02, 1.0  # seconds
PAUSE_PER_QUESTION = 2.0  # in time: asking leaves the processor to what is waited for


def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """Return what ``condition`` returns as soon as it is true; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        begin = time.monotonic()
        if result := condition():
            return result
        now = time.monotonic()
        assert now < end, f"{what or 'the condition'} was not met within {seconds} s"
        time.sleep(min(max(MIN_PAUSE, PAUSE_PER_QUESTION * (now - begin)), MAX_PAUSE))

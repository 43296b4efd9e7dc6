"""Wait for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """Return what ``condition`` returns as soon as it is true; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, f"{what or 'the condition'} was not met within {seconds} s"
        time.sleep(0.02)
    return result

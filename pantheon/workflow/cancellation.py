"""Cancel stages that run in threads, which Ctrl-C does not reach: set ``requested``, and they stop between fits."""

import threading

requested = threading.Event()


def check() -> None:
    """Stop if the run was cancelled.

    Raises:
        KeyboardInterrupt: ``requested`` is set.
    """
    if requested.is_set():
        raise KeyboardInterrupt

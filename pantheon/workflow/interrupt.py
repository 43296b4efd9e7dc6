"""Ctrl-C reaches only the main thread: whoever runs stages in threads sets ``stop``, and they end between fits."""

import threading

stop = threading.Event()


def check() -> None:
    """End here if somebody asked the run to stop.

    Raises:
        KeyboardInterrupt: ``stop`` is set.
    """
    if stop.is_set():
        raise KeyboardInterrupt

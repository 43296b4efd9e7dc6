"""Stream what a task of the engine writes, or reads."""

import os
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from pantheon.engines.volumes import RunsTasks
from pantheon.errors import PantheonError


def receive(engine: RunsTasks, service: str, command: Sequence[str], take: Callable[[IO[bytes]], None]) -> None:
    """Run a task, and have ``take`` read its standard output, in a thread.

    Raises:
        PantheonError: the task failed; includes its last lines. Other errors are those of ``take``.
    """
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def consume() -> None:
        with os.fdopen(reading, "rb") as stream:  # closed early, it ends the task
            try:
                take(stream)
            except BaseException as error:  # noqa: BLE001 - raised below
                failed.append(error)

    lines: list[str] = []
    thread = threading.Thread(target=consume, name="receive")
    thread.start()
    try:
        status = engine.run_task(service, command, on_output=lines.append, output=writing)
    finally:
        os.close(writing)
        thread.join()
    cut = failed and isinstance(failed[0], (tarfile.TarError, EOFError))  # because the task ended early
    if failed and not (status and cut):
        raise failed[0]
    _check(service, status, lines)


def send(engine: RunsTasks, service: str, command: Sequence[str], give: Callable[[IO[bytes]], None]) -> None:
    """Run a task, and have ``give`` write its standard input, in a thread.

    Raises:
        PantheonError: the task failed; includes its last lines. Other errors are those of ``give``.
    """
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def produce() -> None:
        try:
            with os.fdopen(writing, "wb") as stream:
                give(stream)
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    lines: list[str] = []
    thread = threading.Thread(target=produce, name="send")
    thread.start()
    try:
        status = engine.run_task(service, command, on_output=lines.append, input=Path(f"/proc/self/fd/{reading}"))
    finally:
        os.close(reading)  # what is not read yet is not needed any more
        thread.join()
    if failed and not isinstance(failed[0], BrokenPipeError):
        raise failed[0]
    _check(service, status or bool(failed), lines)


def _check(service: str, status: int, lines: Sequence[str]) -> None:
    if status:
        last = "\n".join(lines[-15:]) or f"it exited with {status}"
        raise PantheonError(f"the task of the service {service} failed: {last}", "Run the command again.", 1)

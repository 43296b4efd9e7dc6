"""Parts of tasks that all engines share: standard input from a file or bytes, output as lines, Ctrl-C."""

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from pantheon.errors import PantheonError


@contextlib.contextmanager
def source(input: Path | bytes | None) -> Iterator[int]:
    """Open a file descriptor for a task's standard input; the task reads it directly, so it can be large.

    Args:
        input: a file of this machine, bytes, or None for empty input.

    Raises:
        PantheonError: the file cannot be read.
    """
    if input is None:
        yield subprocess.DEVNULL
        return
    try:
        descriptor = os.open(input, os.O_RDONLY | os.O_CLOEXEC) if isinstance(input, Path) else _in_memory(input)
    except OSError as error:
        raise PantheonError(f"{input!s} cannot be read: {error.strerror}.", "Choose a readable file.") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


LONGEST = 1 << 26  # bytes of a line; a longer one, such as a progress bar's, is split


class Lines:
    """Splits the data of one pipe into lines."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take, self.rest = take, b""

    def feed(self, part: bytes) -> None:
        *lines, self.rest = (self.rest + part).split(b"\n")
        for line in lines:
            self.take(line)
        if len(self.rest) > LONGEST:
            self.close()

    def close(self) -> None:
        if self.rest:
            self.take(self.rest)
            self.rest = b""


class Started(Protocol):
    """What ``pump`` needs of a process."""

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int, /) -> None: ...


def pump(process: Started, pipes: Mapping[int, Lines]) -> bool:
    """Forward the data of ``pipes`` until all are closed. Return whether Ctrl-C was pressed."""
    interrupted = False
    selector = selectors.DefaultSelector()
    for descriptor in pipes:
        selector.register(descriptor, selectors.EVENT_READ)
    while selector.get_map():
        try:
            # a task whose launcher was killed may keep the pipes open: check whether the launcher is alive
            events = selector.select(timeout=0.5)
            if not events and process.poll() is not None:
                break
            for key, _ in events:
                part = os.read(key.fd, 65536)
                pipes[key.fd].feed(part)
                if not part:
                    pipes[key.fd].close()
                    selector.unregister(key.fd)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            process.send_signal(signal.SIGINT)
    return interrupted

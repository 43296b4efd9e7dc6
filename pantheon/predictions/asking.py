"""Ask a process that reads the log: it is started when there is a question, ended at a question's deadline, and ended
when nobody has asked for a while, so that its memory is only taken while it is needed."""

import asyncio
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from pantheon.errors import PantheonError

READER = "pantheon.log_reader"
SECONDS = 10.0  # for an answer, including the time that a question waits for its turn
IDLE_SECONDS = 60.0
WAITING = 16  # questions at once
LARGEST = 64 << 20  # bytes of an answer


class Unavailable(PantheonError):
    """The question was not answered in time, or too many wait."""


class Reader:
    """The process; for use on one event loop. One question after another.

    Args:
        state: the deployment's state folder.
        seconds: see ``SECONDS``.
        idle: see ``IDLE_SECONDS``.
    """

    def __init__(self, state: Path, seconds: float = SECONDS, idle: float = IDLE_SECONDS) -> None:
        self.state, self.seconds, self.idle = state, seconds, idle
        self.process: asyncio.subprocess.Process | None = None
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None

    async def ask(self, question: str, given: dict[str, Any]) -> Any:
        """Return the answer of ``READER``.

        Raises:
            PantheonError: that of the question; ``status`` 2 if the question was wrong.
            Unavailable: there is no answer at the deadline.
        """
        if self._waiting >= WAITING:
            raise Unavailable("too many questions about the log wait.", "Try again later.", 1)
        deadline = monotonic() + self.seconds
        self._waiting += 1
        try:
            async with asyncio.timeout(self.seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise self._late() from None
        finally:
            self._waiting -= 1
        try:
            return await self._ask(question, given, deadline)
        finally:
            self._turn.release()

    async def _ask(self, question: str, given: dict[str, Any], deadline: float) -> Any:
        if self._end:
            self._end.cancel()
        left = max(0.1, deadline - monotonic())
        line = msgspec.json.encode({"question": question, "given": given, "seconds": left}) + b"\n"
        answer = b""
        try:
            async with asyncio.timeout(left):
                process = await self._started()
                assert process.stdin and process.stdout
                process.stdin.write(line)
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except TimeoutError:
            raise self._late() from None
        except (OSError, ValueError):  # it has ended; its answer is larger than LARGEST
            answer = b""
        finally:
            if not answer:
                await self.close()
        if not answer:
            raise Unavailable("the process that reads the log ended.", "Ask for less: a shorter time, fewer rows.", 1)
        self._end = asyncio.get_running_loop().call_later(self.idle, self._rest)
        found = msgspec.json.decode(answer)
        if "answer" not in found:
            raise PantheonError(found["cause"], found["cure"], found["status"])
        return found["answer"]

    async def close(self) -> None:
        """End the process."""
        if self._end:
            self._end.cancel()
        process, self.process = self.process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        if self.process is None or self.process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            command = [sys.executable, "-P", "-m", READER, str(self.state)]
            self.process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LARGEST)
        return self.process

    def _rest(self) -> None:
        """End the process, which ends by itself at the end of its input."""
        if self.process and self.process.stdin and not self._turn.locked():
            self.process.stdin.close()
            self.process = None

    def _late(self) -> Unavailable:
        cause = f"the log had no answer within {self.seconds:g} s."
        return Unavailable(cause, "Ask for less: a shorter time, one model, fewer rows.", 1)

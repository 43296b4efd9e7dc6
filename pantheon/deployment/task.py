"""Run a task of the engine that reports progress as JSON lines."""

from pathlib import Path
from typing import Any

from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.events import Reader

WORKER = "pantheon.worker"
UNKNOWN = (KeyError, TypeError, AttributeError, ValueError, IndexError)  # of an event with missing or wrong values


class Task:
    """A one-off task of a service; passes its events on, and raises its error event as a PantheonError.

    Args:
        module: the module to run in the service's environment, as ``python -m MODULE``.
        service: the service whose environment, secrets and folders the task uses.
    """

    def __init__(self, engine: Engine, module: str = WORKER, service: str = "workflow") -> None:
        self.engine, self.module, self.service = engine, module, service

    def __call__(
        self,
        arguments: list[str],
        on_event: Any = lambda event: None,
        input: Path | bytes | None = None,
        output: int | None = None,
    ) -> None:
        """Run the module with ``arguments``.

        Args:
            input: a file on this machine, or bytes, for the task's standard input.
            output: a descriptor that gets the task's standard output; its events are lines of its standard error then.

        Raises:
            PantheonError: the task reported an error, or ended without a result; says why.
            KeyboardInterrupt: the task was interrupted.
        """
        reader = Reader(f"the {self.service}", on_event)

        def line(text: str) -> None:
            try:
                reader.line(text)
            except UNKNOWN as error:  # code in the task can write to its standard output too
                raise PantheonError(
                    f"the {self.service} reported an event that this command does not understand: {text[:200]}",
                    f"Look at its log: `logs --service {self.service}`",
                    1,
                ) from error

        command = ["python", "-m", self.module, *arguments]
        status = self.engine.run_task(
            self.service,
            command,
            on_output=line,
            on_errors=reader.text if output is None else line,
            input=input,
            output=output,
        )
        reader.check(status)

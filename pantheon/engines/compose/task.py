"""Run one task in a container that cannot outlive its caller."""

import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pantheon.engines import logs
from pantheon.engines.compose.client import Api
from pantheon.engines.definition.resolve import Definition
from pantheon.engines.tasks import Lines, pump, source
from pantheon.processes import bound_to_me


class Errors:
    """Standard error without the empty line that docker-compose appends if a task's status is not 0."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take, self.empty = take, 0

    def __call__(self, line: bytes) -> None:
        if line:
            for _ in range(self.empty):
                self.take(b"")
            self.take(line)
        self.empty = 0 if line else self.empty + 1


def run(
    definition: Definition,
    api: Api,
    service: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    on_lines: tuple[Callable[[str], None], Callable[[str], None]],
    log: Path,
    input: Path | bytes | None = None,
    output: int | None = None,
) -> int:
    """Run ``command`` in a new container of ``service``; pass its output to ``on_lines`` and write it to ``log``.

    Values of ``environment`` are passed to docker-compose in its environment, not on its command line.

    Args:
        on_lines: for the lines of its standard output, and for those of its standard error.
        output: a descriptor that gets its standard output instead.

    Returns:
        The exit status; 128 + N if signal N ended it.

    Raises:
        KeyboardInterrupt: after the task received SIGINT and has ended; a second one kills it.
    """
    container = f"{definition.options.name}-{service}-run-{secrets.token_hex(4)}"
    options = [argument for key in environment for argument in ("-e", key)]
    arguments = ["run", "--rm", "--no-deps", "-T", "--name", container, *options, service, *command]
    definition.options.echo(definition.shown("run", "--rm", "--no-deps", "-T", *options, service, *command))
    with source(input) as descriptor:
        process = subprocess.Popen(
            definition.command("--progress", "quiet", *arguments),
            env={**definition.environment(), **environment},
            cwd="/",
            stdin=descriptor,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C in the terminal only reaches the task through this process
            preexec_fn=bound_to_me(signal.SIGTERM),  # docker-compose forwards it
        )
    assert process.stderr
    interrupted = False
    try:
        with logs.open_log(log) as file:

            def take(on_line: Callable[[str], None], line: bytes) -> None:
                file.write(line + b"\n")
                file.flush()
                on_line(line.decode(errors="replace").rstrip("\r"))

            lines, errors = (Lines(partial(take, on_line)) for on_line in on_lines)

            errors.take = Errors(errors.take)
            pipes = {process.stderr.fileno(): errors}
            if process.stdout:
                pipes[process.stdout.fileno()] = lines
            interrupted = pump(process, pipes)
        code = process.wait()
    except BaseException:  # on_lines raised, or a second Ctrl-C: the task must not outlive its caller
        process.kill()
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        if process.wait() != 0:
            api.remove(container)  # if docker-compose was killed before it could remove it
    if interrupted:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code

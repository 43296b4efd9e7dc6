"""Runs one task in a container that cannot outlive its caller."""

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pantheon.engines import logs
from pantheon.engines.docker_api import Api
from pantheon.engines.docker_model import Project
from pantheon.engines.processes import PR_SET_PDEATHSIG, prctl
from pantheon.engines.tasks import Lines, pump


def die_with_caller() -> Callable[[], None]:
    """For between fork and exec: SIGTERM when the caller is gone, however it ended; docker-compose hands it on."""
    caller = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != caller:  # it died before prctl could tell
            os._exit(127)

    return ask


class Errors:
    """Standard error without the empty line that docker-compose ends it with when a task's status is not 0."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take, self.empty = take, 0

    def __call__(self, line: bytes) -> None:
        if line:
            for _ in range(self.empty):
                self.take(b"")
            self.take(line)
        self.empty = 0 if line else self.empty + 1


def run(
    project: Project,
    api: Api,
    service: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    on_output: Callable[[str], None],
    log: Path,
) -> int:
    """Run ``command`` in a container of its own, made for ``service``; its output goes to ``on_output`` and to ``log``.

    Values of ``environment`` reach docker-compose by its own environment, never by its command line.

    Returns:
        the exit status; 128 + N where the signal N ended it.

    Raises:
        KeyboardInterrupt: after the task was told (SIGINT) and has ended; a second one kills it.
    """
    container = f"{project.name}-{service}-run-{secrets.token_hex(4)}"
    options = [word for key in environment for word in ("-e", key)]
    words = ["run", "--rm", "--no-deps", "-T", "--name", container, *options, service, *command]
    project.echo(project.shown("run", "--rm", "--no-deps", "-T", *options, service, *command))
    process = subprocess.Popen(
        project.command("--progress", "quiet", *words),
        env={**project.surroundings(), **environment},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C on the terminal reaches the task once, by us
        preexec_fn=die_with_caller(),
    )
    assert process.stdout and process.stderr
    interrupted = False
    try:
        with logs.open_log(log) as file:

            def take(line: bytes) -> None:
                file.write(line + b"\n")
                file.flush()
                on_output(line.decode(errors="replace").rstrip("\r"))

            errors = Errors(take)
            interrupted = pump(process, {process.stdout.fileno(): Lines(take), process.stderr.fileno(): Lines(errors)})
        code = process.wait()
    except BaseException:  # on_output raised, or a second Ctrl-C: nothing may go on without its caller
        process.kill()
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
        if process.wait() != 0:
            api.remove(container)  # where docker-compose was killed before it could
    if interrupted:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code

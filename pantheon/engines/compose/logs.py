"""Log lines of containers, prefixed with the service's name."""

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence

from pantheon.engines.definition.resolve import Definition
from pantheon.processes import bound_to_me

PREFIX = re.compile(r"^(.+?)-\d+\s*\| ?(.*)$")


def stream(definition: Definition, services: Sequence[str], follow: bool, tail: int) -> Iterator[str]:
    """Yield ``NAME  | line`` for the last ``tail`` lines of every service, then for new lines if ``follow``."""
    arguments = ["logs", "--no-color", "--tail", str(tail), *(["--follow"] if follow else []), *services]
    process = subprocess.Popen(
        [definition.command()[0], "-p", definition.options.name, *arguments],
        env=definition.own,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=bound_to_me(signal.SIGTERM),
    )
    return lines(process, max(map(len, services)))


def lines(process: subprocess.Popen[bytes], width: int) -> Iterator[str]:
    assert process.stdout
    try:
        for raw in process.stdout:
            if match := PREFIX.match(raw.decode(errors="replace").rstrip("\r\n")):
                yield f"{match[1]:{width}} | {match[2]}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

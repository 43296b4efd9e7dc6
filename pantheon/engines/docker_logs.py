"""Log lines of containers, each after the name of its service."""

import re
import subprocess
from collections.abc import Iterator, Sequence

from pantheon.engines.docker_model import Project
from pantheon.engines.docker_task import die_with_caller

PREFIX = re.compile(r"^(.+?)-\d+\s*\| ?(.*)$")


def stream(project: Project, services: Sequence[str], follow: bool, tail: int) -> Iterator[str]:
    """``NAME  | line`` for the last ``tail`` lines of each of ``services``, then, to ``follow``, for every new one."""
    words = ["logs", "--no-color", "--tail", str(tail), *(["--follow"] if follow else []), *services]
    process = subprocess.Popen(
        [project.command()[0], "-p", project.name, *words],
        env=project.base(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_caller(),
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

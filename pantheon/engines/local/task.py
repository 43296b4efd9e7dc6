"""Run tasks as processes of this machine: the caller's side of ``pantheon.launcher``."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pantheon.engines import logs
from pantheon.engines.local.paths import Home
from pantheon.engines.local.service import Service
from pantheon.engines.tasks import Lines, pump, source
from pantheon.launcher import Request
from pantheon.processes import SYSTEM_PATH, TAG, service_environment, sweep


def run(
    home: Home,
    service: Service,
    command: Sequence[str],
    base: Mapping[str, str],
    environment: Mapping[str, str],
    on_lines: tuple[Callable[[str], None], Callable[[str], None]],
    input: Path | bytes | None = None,
    output: int | None = None,
) -> int:
    """Run ``command`` in the environment of ``service``; pass its output to ``on_lines``, line by line, and to the log.

    Args:
        on_lines: for the lines of its standard output, and for those of its standard error.
        output: a descriptor that gets its standard output instead.

    Returns:
        The exit status; 128 + N if signal N killed it, 127 if it could not be started.

    Raises:
        KeyboardInterrupt: after the task received SIGINT and has ended; a second one kills it.
    """
    identity = f"{home.id}/{service.name}/{secrets.token_hex(4)}"
    for folder in service.folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    request: Request = {
        "command": list(command),
        "environment": service_environment(base, {**service.environment, **environment}, service.bin, f"{identity}/"),
        "folder": service.working_dir or str(home.state),
        "unprivileged": service.unprivileged,
        "grace": service.stop_grace_period,
        "identity": home.id,
    }
    with source(input) as descriptor:
        passed = [descriptor] if descriptor >= 0 else []
        if passed:
            request["input"] = descriptor
        launcher = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "pantheon.launcher"],
            env={**base, "PATH": SYSTEM_PATH, TAG: f"{identity}/"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=passed,
        )
    assert launcher.stdin and launcher.stderr
    try:
        launcher.stdin.write(json.dumps(request).encode() + b"\n")
        launcher.stdin.flush()  # kept open: the launcher reads end-of-file when this process ends
        with logs.open_or_discard(home.log(service.name)) as log:

            def take(on_line: Callable[[str], None], line: bytes) -> None:
                logs.append(log, line)
                on_line(line.decode(errors="replace").rstrip("\r"))

            lines, errors = (Lines(partial(take, on_line)) for on_line in on_lines)
            pipes = {launcher.stderr.fileno(): errors}
            if launcher.stdout:
                pipes[launcher.stdout.fileno()] = lines
            interrupted = pump(launcher, pipes)
        code = launcher.wait()
    except BaseException:  # on_lines raised, or a second Ctrl-C: the task must not outlive its caller
        launcher.kill()
        raise
    finally:
        for pipe in (launcher.stdin, launcher.stdout, launcher.stderr):
            if pipe:
                pipe.close()
        if launcher.wait() < 0:  # it was killed and could not clean up
            sweep(identity, gentle=0.0)
    if interrupted:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code

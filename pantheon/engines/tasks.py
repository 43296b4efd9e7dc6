"""Starts tasks and hands their output on: the caller's side of ``pantheon.engines.task``."""

import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pantheon.engines import logs
from pantheon.engines.files import Home
from pantheon.engines.model import Service
from pantheon.engines.processes import SYSTEM_PATH, TAG, surroundings, sweep


class Lines:
    """Cuts what comes through one pipe into lines."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take, self.rest = take, b""

    def feed(self, part: bytes) -> None:
        *whole, self.rest = (self.rest + part).split(b"\n")
        for line in whole:
            self.take(line)

    def close(self) -> None:
        if self.rest:
            self.take(self.rest)
            self.rest = b""


def run(
    home: Home,
    service: Service,
    command: Sequence[str],
    base: Mapping[str, str],
    environment: Mapping[str, str],
    on_output: Callable[[str], None],
) -> int:
    """Run ``command`` in the surroundings of ``service``; its output goes to ``on_output`` line by line and to the log.

    Returns:
        the exit status; 128 + N where the signal N killed it, 127 where it could not be started.

    Raises:
        KeyboardInterrupt: after the task was told (SIGINT) and has ended; a second one kills it.
    """
    identity = f"{home.id}/{service.name}/{secrets.token_hex(4)}"
    for folder in service.folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    asked = {
        "command": list(command),
        "environment": surroundings(base, {**service.environment, **environment}, service.bin, f"{identity}/"),
        "folder": service.working_dir or str(home.state),
        "unprivileged": service.unprivileged,
        "grace": service.stop_grace_period,
        "identity": home.id,
    }
    launcher = subprocess.Popen(
        [sys.executable, "-S", "-P", "-m", "pantheon.engines.task"],
        env={**base, "PATH": SYSTEM_PATH, TAG: f"{identity}/"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert launcher.stdin and launcher.stdout and launcher.stderr
    try:
        launcher.stdin.write(json.dumps(asked).encode() + b"\n")
        launcher.stdin.flush()
        with logs.open_log(home.log(service.name)) as log:

            def take(line: bytes) -> None:
                log.write(line + b"\n")
                log.flush()
                on_output(line.decode(errors="replace").rstrip("\r"))

            interrupted = pump(launcher, {launcher.stdout.fileno(): Lines(take), launcher.stderr.fileno(): Lines(take)})
        code = launcher.wait()
    except BaseException:  # on_output raised, or a second Ctrl-C: nothing may go on without its caller
        launcher.kill()
        raise
    finally:
        for pipe in (launcher.stdin, launcher.stdout, launcher.stderr):
            pipe.close()
        if launcher.wait() < 0:  # it was killed and could not clean up behind itself
            sweep(identity, gentle=0.0)
    if interrupted:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code


def pump(launcher: subprocess.Popen[bytes], pipes: Mapping[int, Lines]) -> bool:
    """Hand on what comes through ``pipes`` until all have ended; whether Ctrl-C was pressed meanwhile."""
    interrupted = False
    selector = selectors.DefaultSelector()
    for descriptor in pipes:
        selector.register(descriptor, selectors.EVENT_READ)
    while selector.get_map():
        try:
            # a task that lost its launcher may hold the pipes open: look whether it still lives
            events = selector.select(timeout=0.5)
            if not events and launcher.poll() is not None:
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
            launcher.send_signal(signal.SIGINT)
    return interrupted

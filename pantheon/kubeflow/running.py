"""Processes of objects, each under ``pantheon.launcher``, which ends it and its descendants when this service ends.

The launcher holds a lock of the object's folder while it lives, so that after a restart of the service a controller
begins only when the processes from before have ended.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.processes import TAG, Family, send

GRACE_SECONDS = 6.0  # from SIGTERM to SIGKILL when the service ends
LOCK = ".processes.lock"
POLL_SECONDS = 0.05
INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "TMPDIR", TAG)


class Running:
    """A started process; see ``contract.Process``.

    Args:
        folder: of the object; the lock is there.
        log: its output is appended.

    Raises:
        PantheonError: the launcher cannot be started.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], working: Path, folder: Path
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.identity = os.environ.get(TAG, "").partition("/")[0]
        request = {
            "command": [str(word) for word in command],
            "environment": {**inherited, "PYTHONUNBUFFERED": "1", **environment},
            "folder": str(working),
            "unprivileged": False,
            "grace": GRACE_SECONDS,
            "identity": self.identity,
        }
        held = files.take_lock(folder / LOCK, shared=True)
        try:
            with log.open("ab") as output:
                self._launcher = subprocess.Popen(
                    [sys.executable, "-S", "-P", "-m", "pantheon.launcher"],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    start_new_session=True,
                    pass_fds=[held],
                )
        except OSError as error:
            raise PantheonError(f"a process cannot be started: {error}.", "", 1) from None
        finally:
            os.close(held)
        self._ending = threading.Lock()
        assert self._launcher.stdin
        # Kept open: the launcher reads the end of the file when this process ends.
        with suppress(BrokenPipeError):  # it has ended; ``wait`` says how
            self._launcher.stdin.write(json.dumps(request).encode() + b"\n")
            self._launcher.stdin.flush()

    @property
    def pid(self) -> int:
        return self._launcher.pid

    def wait(self, timeout: float | None = None) -> int | None:
        try:
            code = self._launcher.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        if self._launcher.stdin:
            with suppress(BrokenPipeError):
                self._launcher.stdin.close()
        return code if code >= 0 else 128 - code

    def stop(self, grace: float = GRACE_SECONDS) -> int:
        with self._ending:
            if self._launcher.poll() is None:
                self._launcher.send_signal(signal.SIGTERM)
            code = self.wait(grace)
            while code is None:  # the launcher ends when its descendants have
                for processes in Family(self.identity, self._launcher.pid).scan({}).values():
                    for process in processes:
                        send(process, signal.SIGKILL)
                code = self.wait(POLL_SECONDS)
            return code


def in_use(folder: Path) -> bool:
    """Return whether a process of an object still runs, such as one of the service before this one."""
    return files.is_locked(folder / LOCK, shared=True)

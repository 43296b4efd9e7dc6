"""The command ``dvc`` in a deployment's repository."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.versioning import launch

PATIENCE = 30.0  # seconds that another DVC may be at work
LOOK = 0.2
SHOWN = 500  # characters of what DVC has said
UNREACHABLE = ("Could not connect", "EndpointConnectionError", "Connection refused", "ConnectTimeout", "NoSuchBucket")


@dataclass(frozen=True)
class Dvc:
    """DVC in the repository ``folder`` of the deployment ``state``."""

    folder: Path
    state: Path

    def __call__(self, *words: str) -> None:
        """Run ``dvc``; wait for another one that holds DVC's lock.

        Raises:
            PantheonError: it is not there, it failed, or another one is at work for too long.
        """
        program, end = launch.program(os.environ), time.monotonic() + PATIENCE
        if not program.exists():
            raise PantheonError("the environment of DVC is missing.", "Make it: bin/bootstrap dvc")
        while True:
            done = subprocess.run(
                [program, *words],
                cwd=self.folder,
                env=launch.surroundings(self.state, self.folder, os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            if done.returncode == 0:
                return
            if "acquire lock" not in done.stderr:
                raise failed(words[0], done.stderr)
            if time.monotonic() > end:
                raise busy(self.folder)
            time.sleep(LOOK)

    def wait_until_idle(self) -> None:
        """Wait for a DVC that works on files here, such as a ``dvc repro`` of the user's.

        Raises:
            PantheonError: it goes on for too long.
        """
        end = time.monotonic() + PATIENCE
        while self._busy():
            if time.monotonic() > end:
                raise busy(self.folder)
            time.sleep(LOOK)

    def _busy(self) -> bool:
        """DVC writes down which process reads or writes which of its files; one that was killed stays there."""
        try:
            held = json.loads((self.folder / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8") or "{}")
        except (FileNotFoundError, ValueError):  # cut short by a kill: DVC says so itself when it is asked
            return False
        holders = [holder for each in held.values() for holder in [each.get("write"), *each.get("read", [])] if holder]
        return any(Path("/proc", str(holder["pid"])).exists() for holder in holders)


def busy(folder: Path) -> PantheonError:
    return PantheonError(f"another DVC is at work in {folder}.", "Wait until it has ended, then go on.", 1)


def failed(verb: str, said: str) -> PantheonError:
    """DVC's own words as one line."""
    if any(text in said for text in UNREACHABLE):
        return PantheonError(f"dvc {verb}: the S3 store does not answer.", "Look at it: bin/pantheon status", 1)
    errors: list[str] = []
    going_on = False  # an error's further lines name the files that it is about
    for line in said.splitlines():
        kind = re.match(r"(ERROR|WARNING|CRITICAL): ", line)
        if kind:
            going_on = kind[1] != "WARNING"
            errors += [line[kind.end() :].strip()] if going_on else []
        elif going_on and line.strip():
            errors[-1] += f" {line.strip()}"
    text = "; ".join(errors) or said.strip()[-SHOWN:]
    return PantheonError(f"dvc {verb} failed: {text if len(text) <= SHOWN else text[:SHOWN] + ' …'}", status=1)

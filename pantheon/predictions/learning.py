"""Have bandits follow the feedback of the log: the process ``python -m pantheon.judged`` computes their shares.

It is a process of its own, started only while a routing policy has a bandit: what it needs to read the log is given
back at its end, and the log is stored meanwhile.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pantheon.errors import PantheonError
from pantheon.store import Damaged, ModelStore, open_store

LEARNER = "pantheon.judged"
SECONDS = 120.0  # after which it is ended


class Learnt(msgspec.Struct, frozen=True):
    """What the process reports: the models whose shares changed, or what went wrong."""

    changed: list[str] = []
    cause: str = ""
    cure: str = ""


class Learner:
    """Runs one process at a time for the deployment ``state``; ``say`` is told what changes, and each trouble once."""

    def __init__(self, state: Path, say: Callable[[str], None]) -> None:
        self.state, self.say = state, say
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._trouble = ""

    def start(self) -> None:
        """Start the process, if a policy has a bandit and none runs."""
        if self._process is not None:
            return
        try:
            if not has_bandit(open_store(self.state)):
                return
        except PantheonError as error:
            self._tell(str(error))
            return
        command = [sys.executable, "-m", LEARNER, str(self.state)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._began = time.monotonic()

    def look(self) -> None:
        """Report what the process has done, if it has ended."""
        if self._process is None:
            return
        if self._process.poll() is None:
            if time.monotonic() - self._began > SECONDS:
                self.end()
                self._tell(f"New shares for the bandits were not computed within {SECONDS:g} s; it is tried again.")
            return
        output, _ = self._process.communicate()
        status, self._process = self._process.returncode, None
        try:
            learnt = msgspec.json.decode(output, type=Learnt)
        except msgspec.DecodeError:
            self._tell(f"The process that computes the shares of bandits ended with {status}.")
            return
        for model in learnt.changed:
            self.say(f"The bandit of {model} has new shares, which follow the feedback.")
        self._tell(f"{learnt.cause} {learnt.cure}".strip())

    def end(self) -> None:
        """End the process, if it runs; its policy is changed or not."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self.say(trouble)
        self._trouble = trouble


def has_bandit(store: ModelStore) -> bool:
    """Return whether a routing policy has a bandit.

    Raises:
        PantheonError: the store does not answer.
    """
    for model in store.names():
        try:
            stored = store.policy(model)
        except Damaged:  # the champion answers, and `route show` says why
            continue
        if stored and stored.policy.get("bandit"):
            return True
    return False

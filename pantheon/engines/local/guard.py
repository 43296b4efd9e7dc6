"""Starts the supervisor, and starts it again if it is killed: ``python -m pantheon.engines.local.guard STATE``.

When the supervisor ends, the kernel kills its services, so the new one starts all of them. The supervisor is a fork of
this process, which adds almost no memory. `up` and `down` end this process by its tag when no supervisor runs.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from pantheon.engines.local import keeper, supervisor
from pantheon.engines.local.paths import Home
from pantheon.errors import PantheonError
from pantheon.processes import ended

MIN_WAIT, MAX_WAIT = 0.2, 60.0  # seconds before the supervisor is started again: doubled every time
STABLE_SECONDS = 60.0  # a supervisor that ran for this long resets the wait
START_SECONDS = 10.0  # a supervisor that exits with an error this early cannot start


def main() -> int:
    """Return 0 after the supervisor has stopped all services, or its exit status if it cannot start."""
    home, wait = Home(Path(sys.argv[1])), MIN_WAIT
    while True:
        begun = time.monotonic()
        child = os.fork()
        if not child:
            supervisor.main(home)
            return 0
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ran = time.monotonic() - begun
        if code == 0 or (code > 0 and ran < START_SECONDS):
            return code
        wait = MIN_WAIT if ran >= STABLE_SECONDS else min(2 * wait, MAX_WAIT)
        say(f"the supervisor {ended(code)}; it is started again")
        time.sleep(wait)
        try:
            keeper.clean(home, tasks=False)
        except PantheonError as error:
            say(f"{error}")


def say(text: str) -> None:
    with suppress(OSError):  # the log's disk may be full
        os.write(2, f"{text}\n".encode())


if __name__ == "__main__":
    sys.exit(main())

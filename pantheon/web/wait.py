"""Wait until other services accept connections: ``python -S -m pantheon.web.wait [--seconds=60] HOST:PORT…``.

For pods, which Kubernetes starts in any order. A Service refuses connections until a pod behind it is ready, so this
waits for what ``depends_on`` with ``service_healthy`` waits for. Standard library only, because it delays every start.
"""

import socket
import sys
import time
from collections.abc import Sequence

PAUSE = 0.2  # seconds between two tries
SAY_AFTER = 5.0  # seconds until it says what it waits for, and again after as long
TIMEOUT = 3.0  # seconds for one connection: a Service without pods may not answer at all


def trouble(address: str) -> str:
    """Return why nobody accepts connections at ``HOST:PORT``; empty if somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT).close()
    except OSError as error:
        return f"{address}: {error.strerror or error}"
    return ""


def wait(addresses: Sequence[str], seconds: float = float("inf")) -> str:
    """Wait until every address accepts connections. Return what is missing after ``seconds``; empty if nothing is."""
    end, say = time.monotonic() + seconds, time.monotonic() + SAY_AFTER
    for address in addresses:
        while why := trouble(address):
            now = time.monotonic()
            if now > end:
                return why
            if now > say:
                print(f"waits for {why}", flush=True)
                say = now + SAY_AFTER
            time.sleep(PAUSE)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit status."""
    options = [each for each in arguments if each.startswith("--seconds=")]
    addresses = [each for each in arguments if each not in options]
    given = [each.rpartition(":") for each in addresses]
    if not addresses or any(not (host and port.isdecimal()) for host, _, port in given):
        print("usage: python -S -m pantheon.web.wait [--seconds=60] HOST:PORT…", file=sys.stderr)
        return 2
    missing = wait(addresses, float(options[-1].partition("=")[2]) if options else float("inf"))
    print(f"no answer from {missing}" if missing else f"{', '.join(addresses)}: ready", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Free ports, chosen so that parallel workers never choose the same."""

import os
import random
from collections import deque
from collections.abc import Iterable

from pantheon.engines.ports import is_free

# No two of them end alike, but for 8000 and 9000: offsets of whole hundreds meet only where they differ by 1,000.
PORTS = (
    *(8080, 8081, 8888, 8070, 5433, 9000, *range(9010, 9017), 8000, 8072, 8085, 8086, *range(6566, 6570)),
    *(8001, 8003, 6006, *range(8889, 8893)),
)


def worker() -> tuple[int, int]:
    """Which of how many workers of pytest this one is. Each takes ports of its own: those of a deployment that is down,
    or of a service that was killed, look free to the others."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


# two deployments of one test must differ before either listens
_recent: deque[int] = deque(maxlen=16)


def free_port_offset(ports: Iterable[int] = PORTS) -> int:
    """At random among this worker's, none of the last 16: what an earlier test left may still be closing."""
    number, workers = worker()
    tries = iter(lambda: random.randrange(1000 + 100 * number, 20000, 100 * workers), None)
    chosen = next(tried for tried in tries if tried not in _recent and all(is_free(port + tried) for port in ports))
    _recent.append(chosen)
    return chosen


_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return ports below the system's ephemeral range, each only once: none is taken while its server is restarted."""
    number, workers = worker()
    mine = range(29_200 + number, 32_768, workers)
    if len(mine) - len(_given) < 200:  # a long run: the servers of the first ones have ended
        _given.clear()
    free = [port for port in random.sample(mine, len(mine)) if port not in _given][: count + 100]
    free = [port for port in free if is_free(port)]
    chosen = random.sample(free, count)
    _given.update(chosen)
    return chosen

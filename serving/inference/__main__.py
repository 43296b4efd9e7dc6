"""Run the endpoint: ``python -m serving.inference``.

Environment: ``STATE_DIR`` the deployment's state folder, ``ENDPOINT_HOST`` the address to bind, ``ENDPOINT_PORT``,
``ENDPOINT_HOSTS`` additional allowed host names, comma-separated, ``ENDPOINT_KEYS`` a folder with the tokens of the
deployment's own services.
"""

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: its thread pool is not used

from pantheon.web.granian import leave  # noqa: E402
from serving import memory, process  # noqa: E402
from serving.inference.service import NAME, Endpoint  # noqa: E402


def main() -> int:
    memory.limit()
    given = process.settings(NAME, 8085)
    if given is None:
        return 2
    tokens = Path(os.environ.get("ENDPOINT_KEYS") or given.state / "secrets" / "endpoint_keys")
    endpoint = Endpoint(given.state, given.port, given.hosts, tokens=tokens)
    return process.run(given, endpoint, endpoint.start, endpoint.stop)


if __name__ == "__main__":
    leave(main())

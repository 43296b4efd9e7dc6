"""Run KServe's ModelServer with the models of the store: ``python -m serving.kserve_server``.

Environment: ``STATE_DIR`` the deployment's state folder, ``KSERVE_HOST`` the address to bind, ``KSERVE_PORT``,
``KSERVE_TOKEN_FILE`` the token that requests must have.
"""

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: its thread pool is not used

from pantheon.store import open_store  # noqa: E402
from serving import memory, process  # noqa: E402
from serving.inference.models import Models  # noqa: E402
from serving.inference.watch import Watch  # noqa: E402
from serving.state import State  # noqa: E402

NAME = "kserve"


def main() -> int:
    memory.limit()
    given = process.settings(NAME, 8087)
    if given is None:
        return 2
    file = Path(os.environ.get("KSERVE_TOKEN_FILE") or given.state / "secrets" / "kserve" / "token")
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        print(f"{NAME}: the token cannot be read: {error}", file=sys.stderr)
        return 1
    sys.argv[1:] = []  # KServe parses arguments when it is imported, which takes seconds
    from serving.kserve_server.server import serve

    models = Models(State(given.state), open_store(given.state, retry_seconds=0), name=NAME)
    models.refresh()
    watch = Watch(models.refresh)
    watch.start()
    try:
        return serve(given.host, given.port, token, models)
    finally:
        watch.stop()


if __name__ == "__main__":
    sys.exit(main())

"""Run the endpoint: ``python -m serving.inference``.

Environment: ``STATE_DIR`` the deployment's state folder, ``ENDPOINT_HOST`` the address to bind, ``ENDPOINT_PORT``,
``ENDPOINT_HOSTS`` additional allowed host names, comma-separated, ``ENDPOINT_KEYS`` a folder with the tokens of the
deployment's own services, ``SPOOL_DIR`` where the prediction log is written first, ``SPOOL_MB`` its largest size,
``ENDPOINT_LOG`` ``required`` (default), ``best-effort`` or ``off``, ``ENDPOINT_KSERVE`` the address of the KServe that
predicts, and ``KSERVE_TOKEN_FILE`` its token; empty: this process predicts. ``VALKEY_HOST``, ``VALKEY_PORT`` and
``VALKEY_PASSWORD_FILE``: where features of entities are; ``FEATURES_URL`` and ``FEATURES_KEY_FILE``: who writes them.
"""

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: its thread pool is not used

from pantheon.errors import PantheonError  # noqa: E402
from pantheon.web.granian import leave  # noqa: E402
from serving import memory, process  # noqa: E402
from serving.features.push import Push  # noqa: E402
from serving.inference import settings  # noqa: E402
from serving.inference.service import NAME, Endpoint  # noqa: E402
from serving.model.explain import explain  # noqa: E402


def main() -> int:
    memory.limit()
    given = process.settings(NAME, 8085)
    if given is None:
        return 2
    tokens = Path(os.environ.get("ENDPOINT_KEYS") or given.state / "secrets" / "endpoint_keys")
    try:
        mode, spool = settings.log(given.state)
        kserve, online = settings.predicting(), settings.online()
    except (PantheonError, OSError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    endpoint = Endpoint(
        given.state,
        given.port,
        given.hosts,
        tokens=tokens,
        spool=spool,
        mode=mode,
        explain=explain,
        kserve=kserve,
        online=online,
        push=push(),
    )
    return process.run(given, endpoint, endpoint.start, endpoint.stop)


def push() -> Push | None:
    """Return who writes features; None if nobody is named."""
    url, key = (os.environ.get(name, "") for name in ("FEATURES_URL", "FEATURES_KEY_FILE"))
    return Push(url, Path(key)) if url and key else None


if __name__ == "__main__":
    leave(main())

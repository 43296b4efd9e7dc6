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
from typing import TYPE_CHECKING

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: its thread pool is not used

from pantheon.errors import PantheonError  # noqa: E402
from pantheon.predictions.spool import Spool  # noqa: E402
from pantheon.web.granian import leave  # noqa: E402
from serving import memory, process  # noqa: E402
from serving.features.joining import Online  # noqa: E402
from serving.features.push import Push  # noqa: E402
from serving.features.valkey import Valkey  # noqa: E402
from serving.inference.journal import MODES, Mode  # noqa: E402
from serving.inference.service import NAME, Endpoint  # noqa: E402
from serving.model.explain import explain  # noqa: E402

if TYPE_CHECKING:
    from serving.inference.kserve import Kserve


def main() -> int:
    memory.limit()
    given = process.settings(NAME, 8085)
    if given is None:
        return 2
    tokens = Path(os.environ.get("ENDPOINT_KEYS") or given.state / "secrets" / "endpoint_keys")
    try:
        mode, spool = log(given.state)
        kserve, (online, push) = predicting(), features()
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
        push=push,
    )
    return process.run(given, endpoint, endpoint.start, endpoint.stop)


def log(state: Path) -> tuple[Mode, Spool | None]:
    """Return how the prediction log is kept, and its spool.

    Raises:
        PantheonError: a setting is not valid.
        OSError: the spool's folder cannot be written.
    """
    given = os.environ.get("ENDPOINT_LOG") or "required"
    mode = next((mode for mode in MODES if mode == given), None)
    if mode is None:
        raise PantheonError(f"ENDPOINT_LOG is {given!r}.", f"Use one of: {', '.join(MODES)}.")
    most = os.environ.get("SPOOL_MB") or "1000"
    if not most.isdecimal():
        raise PantheonError(f"SPOOL_MB is {most!r}.", "Use a number of megabytes, such as 1000.")
    folder = Path(os.environ.get("SPOOL_DIR") or state / "volumes" / "spool")
    return mode, None if mode == "off" else Spool(folder, most_bytes=int(most) * 1_000_000)


def features() -> tuple[Online | None, Push | None]:
    """Return where features of entities are read, and who writes them; None for what is not named.

    Raises:
        PantheonError: a port is not a number.
    """
    host, port, url = (os.environ.get(name, "") for name in ("VALKEY_HOST", "VALKEY_PORT", "FEATURES_URL"))
    if host and not (port or "6569").isdecimal():
        raise PantheonError(f"VALKEY_PORT is {port!r}.", "Use a number, such as 6569.")
    password, key = (os.environ.get(name, "") for name in ("VALKEY_PASSWORD_FILE", "FEATURES_KEY_FILE"))
    valkey = Valkey(host, int(port or 6569), Path(password) if password else None) if host else None
    return Online(valkey) if valkey else None, Push(url, Path(key)) if url and key else None


def predicting() -> "Kserve | None":
    """Return the KServe that predicts; None if this process does.

    Raises:
        PantheonError: its address is not valid.
        OSError: its token cannot be read.
    """
    address = os.environ.get("ENDPOINT_KSERVE", "")
    if not address:
        return None
    from serving.inference.kserve import Kserve  # and urllib3

    return Kserve(address, Path(os.environ.get("KSERVE_TOKEN_FILE", "")).read_text(encoding="ascii").strip())


if __name__ == "__main__":
    leave(main())

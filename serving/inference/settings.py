"""What the endpoint and the process of its shadows read from their environment; ``__main__`` lists the variables."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon.errors import PantheonError
from pantheon.predictions.spool import Spool
from serving.features.joining import Online
from serving.features.valkey import Valkey
from serving.inference.journal import MODES, Mode

if TYPE_CHECKING:
    from serving.inference.kserve import Kserve


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


def online() -> Online | None:
    """Return where features of entities are read; None if no store is named.

    Raises:
        PantheonError: a port is not a number.
    """
    host, port, password = (os.environ.get(f"VALKEY_{name}", "") for name in ("HOST", "PORT", "PASSWORD_FILE"))
    if host and not (port or "6569").isdecimal():
        raise PantheonError(f"VALKEY_PORT is {port!r}.", "Use a number, such as 6569.")
    return Online(Valkey(host, int(port or 6569), Path(password) if password else None)) if host else None


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

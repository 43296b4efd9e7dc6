"""Components that a team leaves out: the services whose definition says ``x-component: NAME``."""

from collections.abc import Collection
from typing import Any

from pantheon.errors import PantheonError

KEY = "x-component"


def left_out(services: dict[str, dict[str, Any]], without: Collection[str]) -> list[str]:
    """The names of the services of the components ``without``.

    Args:
        services: Compose's resolved mapping of each service.

    Raises:
        PantheonError: a service that stays cannot do without one of them.
    """
    left = [name for name, raw in services.items() if raw.get(KEY) in without]
    for name, raw in services.items():
        for needed, entry in (raw.get("depends_on") or {}).items() if name not in left else ():
            if needed in left and entry.get("required", True):
                own = f" (component {raw[KEY]})" if raw.get(KEY) else ""
                raise PantheonError(
                    f"{services[needed][KEY]} cannot be left out: {name}{own} needs its service {needed}.",
                    f"Leave {raw[KEY]} out too." if raw.get(KEY) else "Take it back: WITHOUT=none.",
                )
    return left


def kept(services: dict[str, dict[str, Any]], left: Collection[str]) -> dict[str, dict[str, Any]]:
    """``services`` without those of ``left``; what could do without them does not wait for them any more."""
    return {
        name: {
            key: {needed: entry for needed, entry in value.items() if needed not in left}
            if key == "depends_on"
            else value
            for key, value in raw.items()
        }
        for name, raw in services.items()
        if name not in left
    }

"""Components that a deployment leaves out. A service belongs to the component of the file that defines it."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pantheon.components import read
from pantheon.errors import PantheonError

KEY = "x-component"


def mark(services: dict[str, dict[str, Any]], file: Path) -> None:
    """Add the component to every service, unless its definition names one."""
    for name, component in read(file).owners.items():
        if name in services:
            services[name].setdefault(KEY, component)


def left_out(services: dict[str, dict[str, Any]], without: Collection[str]) -> list[str]:
    """Return the names of the services of the components ``without``.

    Args:
        services: name → Compose's resolved mapping of the service.

    Raises:
        PantheonError: a remaining service requires one of them.
    """
    left = [name for name, raw in services.items() if raw.get(KEY) in without]
    for name, raw in services.items():
        for needed, entry in (raw.get("depends_on") or {}).items() if name not in left else ():
            if needed in left and entry.get("required", True):
                own = f" (component {raw[KEY]})" if raw.get(KEY) else ""
                raise PantheonError(
                    f"{services[needed][KEY]} cannot be left out: {name}{own} needs its service {needed}.",
                    f"Leave {raw[KEY]} out too." if raw.get(KEY) else "Use WITHOUT=none to keep all components.",
                )
    return left


def kept(services: dict[str, dict[str, Any]], left: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return ``services`` without ``left``; remaining services no longer depend on them."""
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

"""Which port offsets deployments have."""

from pathlib import Path

from pantheon import state
from pantheon.errors import PantheonError


def offsets(home: Path) -> set[int]:
    """Return the port offsets of the deployments below ``home``, up or down."""
    found = set()
    for folder in home.glob("*/state"):
        try:
            settings = state.read_settings(folder.parent)
        except (OSError, PantheonError):
            continue
        if settings:
            found.add(settings.port_offset)
    return found

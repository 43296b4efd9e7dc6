"""The result of one check of ``doctor``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``cure`` is how to fix it if not ``ok``; only ``fatal`` findings stop ``up``."""

    what: str
    ok: bool
    found: str
    cure: str = ""
    fatal: bool = False

"""What a tier costs: from the report of ``make compare`` if there is one, and from the README of the tier."""

import re
from typing import Any

import msgspec

from pantheon.tiers import ROOT, Tier

REPORT = ROOT / "docs" / "compare.json"
COST, NEXT, NOT = "What it costs", "When to take the next step", "When not to take this step"
"""The paragraphs of a tier's README that ``advise`` quotes; each begins with one of these in bold."""


class Measured(msgspec.Struct, frozen=True):
    """The figures of a tier on one engine, with all its components; other figures of the report are ignored."""

    memory_idle_mb: float | None = None
    start_s: float | None = None
    disk_mb: float | None = None
    services: int | None = None


class Machine(msgspec.Struct, frozen=True):
    cpu: str = "an unknown processor"
    cores: int = 0
    memory_mb: int = 0

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.memory_mb / 1000:.0f} GB"


class Report(msgspec.Struct, frozen=True):
    """What ``advise`` reads of the report: ``{"machine": …, "made": …, "tiers": {tier: {engine: Measured}}}``."""

    machine: Machine
    made: str = ""
    tiers: dict[str, dict[str, Measured]] = {}


def report() -> Report | None:
    """Return the committed report; None if there is none, or it is not one: advice does not depend on it."""
    try:
        return msgspec.json.decode(REPORT.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def measured(tier: Tier) -> dict[str, Any] | None:
    """Return ``{"machine", "made", "engines": {name: figures}}`` of the tier; None if it was not measured."""
    found = report()
    engines = found.tiers.get(tier.name) if found else None
    if not found or not engines:
        return None
    return {"machine": str(found.machine), "made": found.made, "engines": msgspec.to_builtins(engines)}


def paragraph(tier: Tier, begins: str) -> str:
    """Return the paragraph of the tier's README that begins with ``begins`` in bold, as plain text without it."""
    try:
        text = (tier.folder / "README.md").read_text(encoding="utf-8")
    except FileNotFoundError:  # of a tier outside the repository
        return ""
    found = re.search(rf"^\*\*{re.escape(begins)}\.?\*\*(.*?)(?:\n\n|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    if not found:
        return ""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[1]).replace("`", "")
    plain = re.sub(r"\s*\([^()]*docs/[^()]*\)", "", plain)
    return " ".join(plain.split()).strip()

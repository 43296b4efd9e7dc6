"""Which cells a comparison has: the tiers and engines that were asked for, else all that this machine can run."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pantheon import __version__, components, tiers
from pantheon.engines import modules
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT, Tier

ADDED, ALL = "added", "all"  # which services of a tier are killed


@dataclass(frozen=True)
class Data:
    """What every cell trains on; empty values are the defaults of ``up``."""

    data: str = ""
    target: str = ""
    trials: int | None = None

    def options(self) -> list[str]:
        """Return the options of ``up``."""
        given = {"--data": self.data, "--target": self.target, "--trials": self.trials or ""}
        return [word for option, value in given.items() if value for word in (option, str(value))]


@dataclass(frozen=True)
class Cell:
    """One tier on one engine; services that the tier ``before`` has too, if any, are killed only there."""

    tier: Tier
    engine: str
    data: Data
    before: Tier | None = None

    @property
    def name(self) -> str:
        return f"{self.tier.name}-{self.engine}"

    @property
    def fingerprint(self) -> str:
        """Changes if Pantheon's version, the tier's definition, the environments, the data or what is killed change."""
        files = components.files(self.tier.compose_file)
        files += sorted((ROOT / "requirements").glob("*.txt"))
        if self.data.data and (file := Path(self.data.data)).is_file():
            files.append(file)
        before = self.before.name if self.before else ""
        digest = hashlib.sha256(f"{__version__} {self.data} {before}".encode())
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]


def words(text: str) -> list[str]:
    """Split ``zeus,nemesis`` or ``zeus nemesis``."""
    return list(dict.fromkeys(filter(None, re.split(r"[,\s]+", text))))


def chosen_tiers(text: str) -> list[Tier]:
    """Return the tiers of ``TIERS=`` in their order; all that are built if it is empty.

    Raises:
        PantheonError: a tier does not exist or is not built.
    """
    if names := words(text):
        return sorted((tiers.find_built(name) for name in names), key=lambda tier: tier.number)
    return [tier for tier in tiers.all_tiers() if tier.built]


def chosen_engines(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the engines of ``ENGINES=``, else all that can be used here, and why the others cannot.

    Raises:
        PantheonError: an engine does not exist, or was asked for and cannot be used; or none can be used.
    """
    known, names = modules(), words(text)
    for name in names:
        if name not in known:
            raise PantheonError(f"there is no engine {name!r}.", f"Use ENGINES= with some of: {', '.join(known)}.")
    usable = {name: module.available(os.environ) for name, module in known.items()}
    for name in names:
        if not usable[name][0]:
            able = [each for each, (is_usable, _) in usable.items() if is_usable]
            cure = f"Use ENGINES={','.join(able)}." if able else ""
            raise PantheonError(f"the engine {name} cannot be used: {usable[name][1]}.", cure)
    engines = names or [name for name, (is_usable, _) in reversed(usable.items()) if is_usable]
    left_out = {name: why for name, (is_usable, why) in usable.items() if not is_usable}
    if not engines:
        raise PantheonError(f"no engine can be used on this machine: {'; '.join(left_out.values())}.")
    return engines, left_out


def cells(tiers_: list[Tier], engines: list[str], data: Data, kills: str = ADDED) -> list[Cell]:
    """Return the cells, engine by engine, each from the first tier to the last.

    Args:
        kills: ``added``: each service is killed in the first of these tiers that has it; ``all``: in every one.

    Raises:
        PantheonError: ``kills`` is neither.
    """
    if kills not in (ADDED, ALL):
        raise PantheonError(f"there is no KILLS={kills}.", f"Use KILLS={ADDED} or KILLS={ALL}.")
    before = [None, *tiers_] if kills == ADDED else [None] * len(tiers_)
    return [Cell(tier, engine, data, old) for engine in engines for tier, old in zip(tiers_, before, strict=False)]

"""The tiers (architectures), which are defined in ``tiers/N-NAME/tier.toml``.

``PANTHEON_TIERS`` names additional folders of tiers, to develop a component outside the repository.
"""

import difflib
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pantheon.errors import PantheonError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variant:
    """A variant of a tier, ``VARIANT=NAME``, which replaces a part of it.

    Attributes:
        adds: description of what it adds.
    """

    adds: str


@dataclass(frozen=True)
class Tier:
    """One architecture.

    Attributes:
        number: 1 to 9; a tier contains all components of the previous tiers.
        name: the name on the command line, such as ``zeus``.
        title: the full name, such as ``the Zeus Zonal``.
        adds: the component that it adds to the previous tier.
        story: a sentence that explains the roles of the components.
        built: whether it is implemented.
        folder: ``tiers/N-NAME``; its compose file lists the components.
        runner: how the stages are run: ``script`` or ``graph``; empty if it is not implemented.
        variants: by name; the compose file of a variant is ``compose.VARIANT.yaml``.
    """

    number: int
    name: str
    title: str
    adds: str
    story: str
    built: bool
    folder: Path
    runner: str = ""
    variants: dict[str, Variant] = field(default_factory=dict)

    @property
    def compose_file(self) -> Path:
        return self.folder / "compose.yaml"

    def definition(self, variant: str = "") -> Path:
        """Return the compose file of the tier, or of one of its variants."""
        return self.folder / f"compose.{variant}.yaml" if variant in self.variants else self.compose_file


def all_tiers() -> list[Tier]:
    """Return all tiers, ordered by number."""
    more = os.environ.get("PANTHEON_TIERS", "")
    tiers = []
    for folder in [ROOT / "tiers", *(Path(path).absolute() for path in more.split(os.pathsep) if path)]:
        for path in folder.glob("[1-9]*-*/tier.toml"):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            raw["variants"] = {name: Variant(variant["adds"]) for name, variant in raw.get("variants", {}).items()}
            tiers.append(Tier(number=int(path.parent.name.partition("-")[0]), folder=path.parent, **raw))
    return sorted(tiers, key=lambda tier: tier.number)


def definitions() -> list[Path]:
    """Return the compose files of all implemented tiers and their variants."""
    built = [tier for tier in all_tiers() if tier.built]
    return [tier.definition(variant) for tier in built for variant in ("", *tier.variants)]


def find(name: str) -> Tier:
    """Return the tier called ``name``.

    Raises:
        PantheonError: it does not exist; suggests the most similar one.
    """
    tiers = all_tiers()
    for tier in tiers:
        if tier.name == name:
            return tier
    near = difflib.get_close_matches(name, [t.name for t in tiers], n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise PantheonError(f"there is no tier {name!r}.", f"{hint}The tiers: {', '.join(t.name for t in tiers)}.")


def find_built(name: str) -> Tier:
    """Return the tier called ``name``, which must be implemented.

    Raises:
        PantheonError: it does not exist or is not built yet; names the highest tier that is.
    """
    tier = find(name)
    if not tier.built:
        last = [t.name for t in all_tiers() if t.built][-1]
        raise PantheonError(
            f"{tier.title} ({tier.adds}) is not built yet.", f"The highest tier so far: `make tier-{last} up`"
        )
    return tier

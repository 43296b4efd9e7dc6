"""The nine architectures, read from ``tiers/N-NAME/tier.toml``."""

import difflib
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pantheon.errors import PantheonError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variant:
    """Another way to do a tier's work: ``VARIANT=NAME``.

    Attributes:
        adds: what it brings, in words.
        environments: as ``Tier.environments``.
    """

    adds: str
    environments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tier:
    """One architecture.

    Attributes:
        number: 1 to 9; a tier holds everything of the tiers before it.
        name: the name on the command line, such as ``zeus``.
        title: the full name, such as ``the Zeus Zonal``.
        adds: the component that it adds to the tier before it.
        story: one sentence on who does what there.
        built: whether it can be brought up yet.
        folder: ``tiers/N-NAME``.
        runner: how the stages are run: ``script`` or ``graph``; empty where not built.
        component: its services, as ``x-component`` in the compose files; empty where it adds none.
        environments: those that its services use besides their own.
        variants: by name; its compose file is ``compose.VARIANT.yaml``.
        memory_mb, disk_mb: what the machine needs, in MB.
    """

    number: int
    name: str
    title: str
    adds: str
    story: str
    built: bool
    folder: Path
    runner: str = ""
    component: str = ""
    environments: tuple[str, ...] = ()
    variants: dict[str, Variant] = field(default_factory=dict)
    memory_mb: int = 0
    disk_mb: int = 0

    @property
    def compose_file(self) -> Path:
        return self.folder / "compose.yaml"

    def definition(self, variant: str = "") -> Path:
        """The compose file of the tier, or of one of its variants."""
        return self.folder / f"compose.{variant}.yaml" if variant in self.variants else self.compose_file


def all_tiers() -> list[Tier]:
    """The nine, in order."""
    tiers = []
    for path in sorted((ROOT / "tiers").glob("[1-9]-*/tier.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        needs = raw.pop("needs", {})
        raw["environments"] = tuple(raw.get("environments", ()))
        raw["variants"] = {
            name: Variant(each["adds"], tuple(each["environments"])) for name, each in raw.get("variants", {}).items()
        }
        tiers.append(Tier(number=int(path.parent.name[0]), folder=path.parent, **raw, **needs))
    return tiers


def components(tier: Tier) -> list[str]:
    """What ``tier`` and the tiers before it are made of, as far as it can be left out."""
    return [t.component for t in all_tiers() if t.number <= tier.number and t.component]


def environments(tier: Tier, without: Collection[str] = (), variant: str = "") -> list[str]:
    """What ``tier`` needs besides the environments that its services are named after."""
    found = [e for t in all_tiers() if t.number <= tier.number and t.component not in without for e in t.environments]
    return [*found, *(tier.variants[variant].environments if variant in tier.variants else ())]


def find(name: str) -> Tier:
    """The tier called ``name``.

    Raises:
        PantheonError: there is none; names the nearest.
    """
    tiers = all_tiers()
    for tier in tiers:
        if tier.name == name:
            return tier
    near = difflib.get_close_matches(name, [t.name for t in tiers], n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise PantheonError(f"there is no tier {name!r}.", f"{hint}The tiers: {', '.join(t.name for t in tiers)}.")


def find_built(name: str) -> Tier:
    """The tier called ``name``, which can be brought up.

    Raises:
        PantheonError: there is none, or it is not built yet; names the highest that is.
    """
    tier = find(name)
    if not tier.built:
        last = [t.name for t in all_tiers() if t.built][-1]
        raise PantheonError(
            f"{tier.title} ({tier.adds}) is not built yet.", f"The furthest tier today: make tier-{last} up"
        )
    return tier

"""The values files of a deployment's release: the tier's, those of its user, and the one made from its settings."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pantheon import files
from pantheon import state as states
from pantheon.engines import Options, Planned
from pantheon.engines.helm import values
from pantheon.engines.record import read_derived

SETTING = "PANTHEON_VALUES"


class ValueFiles:
    """The values files, the most general one first, and the images that they name.

    Args:
        home: the engine's folder in the deployment's state folder.
        chart: the folder of the chart.
    """

    def __init__(self, home: Path, chart: Path, options: Options) -> None:
        self.home, self.chart, self.options, self.state = home, chart, options, options.state.resolve()
        self.made, self.kept, self.named = home / "values.yaml", home / "given.yaml", home / "images.json"

    # images -----------------------------------------------------------------------------------------------------------

    def images(self) -> dict[str, str]:
        """Return the names in the cluster of the images that were made available, by those in the compose files."""
        return dict(read_derived(self.named, {}) or {})

    def name_images(self, found: Mapping[str, str]) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        files.write_json(self.named, dict(found))

    # values -----------------------------------------------------------------------------------------------------------

    def paths(self) -> list[Path]:
        tier = values.tier_values(self.options.definition)
        return [tier, *([self.kept] if self.kept.is_file() else []), self.made]

    def write(self, images: Mapping[str, str], planned: Sequence[Planned]) -> str:
        """Write the values file; return a hash of the chart and all values."""
        chart = values.read(self.chart / "values.yaml")
        needed = {plan.name: plan for plan in planned if plan.image in images}
        own = {plan.image: images[plan.image] for plan in needed.values() if plan.environment != plan.image}
        own |= {image: images[image] for image in values.more_images(self.given()) if image in images}
        others = {name: images[plan.image] for name, plan in needed.items() if name in chart["images"]}
        variant = values.variant_of(self.options.definition)
        made = values.make(self.state, self.settings(), chart, self.options.without, variant, own, others)
        self.take_given()
        files.write_text(self.made, values.dump(made))
        digest = hashlib.sha256()
        every = [path for path in sorted(self.chart.rglob("*")) if path.is_file() and path.suffix != ".md"]
        for path in (*every, *self.paths()):
            digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()

    def expected(self) -> values.Values:
        """Return what the release would get now, without images. Changes nothing."""
        definition = self.options.definition
        chart, tier = (values.read(file) for file in (self.chart / "values.yaml", values.tier_values(definition)))
        variant = values.variant_of(definition)
        made = values.make(self.state, self.settings(), chart, self.options.without, variant, {}, {})
        return values.merged(chart, tier, self.given(), made)

    def settings(self) -> states.Settings:
        return states.read_settings(self.state) or states.Settings(name=self.options.name)

    def given(self) -> values.Values:
        """Return the user's values: those of ``VALUES=``, else those that are kept."""
        name = self.options.environment.get(SETTING, "")
        if name in ("", "none"):
            return values.read(self.kept) if not name and self.kept.is_file() else {}
        return values.read(Path(name).expanduser())

    def take_given(self) -> None:
        """Keep the values of ``VALUES=``; ``none`` removes them."""
        if given := self.given():
            files.write_text(self.kept, values.dump(given))
        else:
            self.kept.unlink(missing_ok=True)

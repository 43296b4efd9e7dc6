"""The ports of a workshop: those of the deployments and that of the instructor's page."""

from pathlib import Path

from pantheon.engines import ports
from pantheon.tiers import all_tiers
from pantheon.workshop import beginning, page
from pantheon.workshop.place import Place


def test_the_page_takes_no_port_that_a_deployment_needs(tmp_path: Path) -> None:
    place = Place(tmp_path / "workshop")
    place.make()
    needed = {port % ports.STEP for tier in all_tiers() for port in beginning.ports_of(place, tier, "person-01")}
    assert needed
    assert page.port(1000) % ports.STEP not in needed

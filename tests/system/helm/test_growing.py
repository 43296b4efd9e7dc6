"""A deployment grows from persephone to hephaestus in place: no pod of what both tiers have is recreated."""

import pytest

from tests.support.kubernetes import ROBOT, Clustered

TIERS = ("persephone", "daedalus", "prometheus", "zeus", "nemesis", "odysseus", "epimetheus", "hephaestus")


@pytest.mark.timeout(3600)
def test_growing(deployment: Clustered) -> None:
    pantheon = deployment.pantheon
    before: dict[str, str] = {}
    for tier in TIERS:
        said = pantheon("up", tier, "--trials", "1", timeout=2400).err
        assert not before or "growing in place" in said
        after = deployment.pods()
        assert {name: uid for name, uid in after.items() if name in before} == before, tier
        assert pantheon("predict", "--row", ROBOT, "--json").json["version"] == "1", tier
        before = after
    pantheon("run", timeout=2400)
    assert len(pantheon("runs", "--json").json) == 2

"""The engines accept what `advise` recommends: no service that stays depends on one that is left out."""

from pathlib import Path

import pytest

from pantheon.advice import data
from pantheon.advice.answer import advise
from pantheon.deployment.deployment import Deployment
from pantheon.tiers import find


def test_the_recommended_services_can_be_planned_for_every_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    seen: set[str] = set()
    for name in ["", *data.needs()]:
        found = advise([name] if name else [])
        if found["command"] in seen:
            continue
        seen.add(found["command"])
        tier, deployment = find(found["tier"]), Deployment("pantheon")
        deployment.leave_out(tier, ",".join(found["without"]) or "none")
        deployment.choose_variant(tier, found["variant"] or "none")
        planned = {each.name for each in deployment.engine(tier, "local").planned()}
        own = {service for each in deployment.components(tier) for service in each.services}
        assert planned <= own, found["command"]
        assert {"button", "workflow"} <= planned, found["command"]

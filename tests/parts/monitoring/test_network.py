"""In containers, the monitor alone gets a way to other machines, and only if alerts go there."""

from pathlib import Path
from typing import Any

import pytest

from pantheon.deployment import alerting
from pantheon.deployment.deployment import Deployment
from pantheon.tiers import find


def networks(name: str) -> dict[str, set[str]]:
    """Network → the services in it, as Compose reads the files."""
    engine: Any = Deployment(name).engine(find("epimetheus"), "compose")
    found: dict[str, set[str]] = {}
    for service, raw in engine.definition.resolve().services.items():
        for network in raw.get("networks") or {}:
            found.setdefault(network, set()).add(service)
    return found


def test_the_monitor_is_in_the_open_network_only_while_alerts_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))
    deployment = Deployment("made")
    deployment.make_folders()
    before = networks("made")
    assert "outside" not in before
    assert "monitor" in before["front"] & before["inside"]
    alerting.set_webhook(deployment, "https://hooks.example.com/x")
    during = networks("made")
    assert during["outside"] == {"monitor"}
    assert during["front"] == before["front"] - {"monitor"}
    alerting.set_webhook(Deployment("made"), "off")
    assert networks("made") == before

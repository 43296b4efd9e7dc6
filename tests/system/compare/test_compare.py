"""`compare` measures tiers in deployments of their own, continues after it was killed, and leaves nothing behind."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
ARGUMENTS = ("compare", "--tiers", "persephone,daedalus", "--engines", "local", "--trials", "1")


def pids(made: Pantheon) -> dict[str, int]:
    services = json.loads((made.state / "state" / "services.json").read_text())["services"]
    return {service["name"]: service["pid"] for service in services}


def test_a_killed_comparison_continues_and_touches_no_deployment(tmp_path: Path) -> None:
    made = make_pantheon(tmp_path)
    made("up", "persephone", "--no-run")
    mine = pids(made)
    work = tmp_path / "compare"
    try:
        killed = made.popen(*ARGUMENTS)
        until(lambda: (work / "cells" / "persephone-local.json").exists(), 300)
        until(lambda: list((work / "deployments").glob("*/state/services.json")), 120)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        answer = made(*ARGUMENTS, "--json", timeout=600)
        assert "1 cell is measured already" in answer.err
        assert pids(made) == mine, "the user's deployment kept its processes"
    finally:
        made("down")
    assert list((work / "deployments").iterdir()) == []
    assert_nothing_left(tmp_path)

    cells = {tier: engines["local"] for tier, engines in answer.json["tiers"].items()}
    assert list(cells) == ["persephone", "daedalus"]
    assert answer.json["metrics_equal"]
    for cell in cells.values():
        assert cell["memory_idle_mb"] < cell["memory_peak_mb"]
        assert 0 < cell["predict_p50_ms"] <= cell["predict_p99_ms"]
        assert cell["predict16_per_s"] > 100
        assert cell["questions_answered"] == 2
        assert cell["kills_lost"] == []
        assert cell["ports_outside"] == 0
    first, second = cells["persephone"], cells["daedalus"]
    assert first["kills_healed"] == first["services"] == len(first["kills"])
    assert {kill["noticed_by"] for kill in first["kills"]} == {"the supervisor"}
    assert second["services"] == first["services"], "daedalus adds no service"
    assert (second["kills"], second["kills_before"]) == ([], "persephone")
    page = (work / "report.html").read_text()
    assert "the Daedalus Dataflow" in page

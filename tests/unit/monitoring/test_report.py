"""Reports are kept beside the log, and read again as they were."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.monitoring.report import Alert, Errors, Latency, Report, Share, keep, keys, latest, reports
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import FolderPlace


def report(until: str, requests: int = 10) -> Report:
    return Report(
        model="robots",
        version="3",
        since="2026-03-01T00:00:00+00:00",
        until=until,
        requests=requests,
        rows=requests,
        versions={"3": requests},
        reference="training",
        usual_rows=None,
        latency=Latency(1.0, 2.0),
        errors=Errors(Share(0.0, 0.0, 0.3, requests), None, {"200": requests}, []),
        columns=[],
        predictions=None,
        judged=0,
        performance=[],
        fairness=None,
        alerts=[Alert("ticket", "drift", "rust-level", "It moved.", "Look at it.")],
        notes=["There is no feedback."],
    )


def test_a_report_is_read_as_it_was_kept(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    assert latest(place, "robots") is None
    first, second = report("2026-03-02T00:00:00+00:00"), report("2026-03-02T01:00:00+00:00")
    for each in (second, first):
        keep(place, each)
    assert latest(place, "robots") == second
    assert list(reports(place, "robots", 5)) == [second, first]
    assert Report.from_json(second.to_json()) == second
    assert latest(place, "rob") is None


def test_a_report_replaces_one_about_the_same_window_and_is_no_prediction(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    keep(place, report("2026-03-02T00:00:00+00:00"))
    key = keep(place, report("2026-03-02T02:00:00+02:00", requests=11))
    assert keys(place, "robots") == [key] == ["_monitoring/robots/2026-03-02T000000Z.json"]
    assert latest(place, "robots").requests == 11  # type: ignore[union-attr]
    assert list(Layout(place).parts()) == []


def test_a_damaged_report_is_named(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    path = tmp_path / keep(place, report("2026-03-02T00:00:00+00:00"))
    path.write_text("{")
    with pytest.raises(PantheonError, match=r"2026-03-02T000000Z\.json is damaged"):
        latest(place, "robots")

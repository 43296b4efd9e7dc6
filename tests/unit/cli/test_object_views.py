"""Objects are printed as kubectl prints them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pantheon.cli import object_views
from pantheon.cli.object_views import Table, age
from pantheon.deployment import kubeflow
from pantheon.errors import PantheonError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (601, "10m"), (3 * 3600 - 1, "179m"), (3 * 3600, "3h"),
        (5 * 3600 + 120, "5h2m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"), (51 * 3600, "2d3h"),
        (9 * 86400 + 3600, "9d"), (-5, "0s"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now

    monkeypatch.setattr(object_views, "datetime", Clock)
    assert age((now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")) == text


def row(name: str, version: str, state: str) -> dict[str, Any]:
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "namespace": "default", "name": name, "created": created, "by": "", "version": version,
        "columns": {"STATUS": state},
    }  # fmt: skip


def test_a_watch_prints_what_changed_below_the_same_titles(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("wide", True)
    table.show([])
    assert capsys.readouterr().out == "", "no titles without an object"
    table.show([row("a", "1", "Running"), row("longer", "2", "Created")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["NAMESPACE", "NAME", "STATUS"], ["default", "a", "Running"], ["default", "longer", "Created"]
    ]  # fmt: skip
    assert len({line.index(word) for line, word in zip(lines, ("STATUS", "Running", "Created"), strict=True)}) == 1
    assert lines[1].endswith("<none>")
    table.show([row("a", "1", "Running"), row("longer", "3", "Failed\x1b[31m")])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == ["default", "longer", "Failed"], "and no colour that an object brought"


def test_a_kind_and_names_are_given_in_one_of_two_ways() -> None:
    assert kubeflow.split("exp", ["a", "b"]) == ("exp", ["a", "b"])
    assert kubeflow.split("exp/a", []) == ("exp", ["a"])
    for kind, names in [("exp/a", ["b"]), ("exp/", [])]:
        with pytest.raises(PantheonError, match="Write KIND NAME, or KIND/NAME"):
            kubeflow.split(kind, names)

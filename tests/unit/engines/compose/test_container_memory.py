"""A container's memory, from the statistics of the Docker engine."""

from typing import Any

import pytest

from pantheon.engines.compose.client import Api

V2 = {"anon": 48, "file": 109, "active_anon": 1, "inactive_anon": 47, "active_file": 10, "inactive_file": 98}
V1 = V2 | {"total_active_anon": 2, "total_inactive_anon": 60, "total_unevictable": 3}  # with the groups below it


@pytest.mark.parametrize(("stats", "memory"), [(V2, 48), (V2 | {"unevictable": 5}, 53), (V1, 65), ({}, 0)])
def test_page_cache_is_not_counted(monkeypatch: pytest.MonkeyPatch, stats: dict[str, int], memory: int) -> None:
    answer: Any = {"memory_stats": {"usage": 161, "stats": stats}}
    monkeypatch.setattr(Api, "ask", lambda self, path: answer)
    assert Api("unix:///run/docker.sock").memory("button") == memory


@pytest.mark.parametrize("answer", [None, {}, {"memory_stats": {}}])
def test_a_container_that_has_just_ended_has_none(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(Api, "ask", lambda self, path: answer)
    assert Api("unix:///run/docker.sock").memory("button") == 0

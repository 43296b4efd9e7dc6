"""Merging, interrupted at every step, and by two processes at once, loses and doubles nothing."""

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.predictions import compact as module
from pantheon.predictions.compact import compact
from pantheon.predictions.ids import new_id
from pantheon.predictions.layout import Layout, Part
from pantheon.predictions.place import FolderPlace, Stored
from pantheon.predictions.read import predictions
from pantheon.predictions.ship import ship
from tests.support.predictions import Fragile, Interrupted, answered, said, segment


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "place")


def store(place: FolderPlace, spool: Path, count: int = 10) -> list[str]:
    """Store small files of one model and of feedback; return the ids."""
    records = [answered() for _ in range(count)]
    for record in records:
        segment(spool, [(record, {"a": 1}, 0)], [said(record.id)])
    ship(place, spool)
    return [record.id for record in records]


def rows(place: FolderPlace) -> list[tuple[str, bool]]:
    return sorted(predictions(place, None).select("id", "correct").rows())


def test_small_files_become_one_and_are_removed_later(place: FolderPlace, tmp_path: Path) -> None:
    expected = [(each, True) for each in store(place, tmp_path)]
    first = compact(Layout(place))
    assert (first.merged, first.made, first.removed) == (20, 2, 0)
    assert len(list(place.list())) == 24  # readers may still read what was replaced
    assert rows(place) == expected
    assert compact(Layout(place), grace=0).removed == 20
    assert sorted(stored.key.rpartition(".")[2] for stored in place.list()) == ["json", "json", "parquet", "parquet"]
    assert rows(place) == expected


def test_merged_files_are_merged_again(place: FolderPlace, tmp_path: Path) -> None:
    expected = [
        each for _ in range(4) for each in store(place, tmp_path, 5) if compact(Layout(place), fewest=2, grace=0)
    ]
    compact(Layout(place), grace=0)
    assert [id for id, _ in rows(place)] == expected
    (folder,) = {stored.key.rpartition("/")[0] for stored in place.list("robots/")}
    part = Layout(place).part(folder)
    assert (len(part.live), len(part.manifests), part.dead) == (1, 1, {})


def test_a_segment_that_is_stored_again_after_its_merge_does_not_count(place: FolderPlace, tmp_path: Path) -> None:
    record = answered()
    name = segment(tmp_path, [(record, {}, 0)])
    content = (tmp_path / f"{name}.closed").read_bytes()
    ship(place, tmp_path)
    store(place, tmp_path, 3)
    compact(Layout(place), fewest=2, grace=0)
    compact(Layout(place), fewest=2, grace=0)
    (tmp_path / f"{name}.closed").write_bytes(content)  # the shipper was killed before it removed it
    assert predictions(place, tmp_path).height == 4
    ship(place, tmp_path)
    assert predictions(place, tmp_path).height == 4


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("grace", [0.0, 600.0])
def test_interrupted_anywhere_nothing_is_lost_or_doubled(tmp_path: Path, after: bool, grace: float) -> None:
    for changes in itertools.count(1):
        folder = tmp_path / f"place-{changes}"
        expected = [(each, True) for each in store(FolderPlace(folder), tmp_path / "spool", 4)]
        place = Fragile(folder, changes, after)
        try:
            compact(Layout(place), fewest=2, grace=grace)
            compact(Layout(place), fewest=2, grace=grace)
        except Interrupted:
            assert rows(FolderPlace(folder)) == expected
            compact(Layout(FolderPlace(folder)), fewest=2, grace=grace)
            assert rows(FolderPlace(folder)) == expected
        else:
            break
    assert changes == (4 + 8 + 1 if grace == 0 else 4 + 1)


def test_what_a_killed_merge_left_is_removed(
    place: FolderPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [(each, True) for each in store(place, tmp_path, 4)]
    with pytest.raises(Interrupted):
        compact(Layout(Fragile(place.folder, 1, after=True)), fewest=2)
    count = len(list(place.list()))
    assert compact(Layout(place), grace=0).removed == 0
    later = time.time() + 7200
    monkeypatch.setattr(module.time, "time", lambda: later)
    assert compact(Layout(place)).removed == 1
    assert len(list(place.list())) == count - 1
    assert rows(place) == expected


def test_of_two_merges_of_the_same_files_the_first_counts(place: FolderPlace, tmp_path: Path) -> None:
    expected = [(each, True) for each in store(place, tmp_path, 8)]
    layout = Layout(place)
    (part,) = layout.parts(["robots"])
    names = sorted(part.live)
    module._merge(layout, part, names[:6])
    module._merge(layout, part, names[3:])  # by a process that saw none of the first merge
    assert rows(place) == expected
    for _ in range(3):
        compact(Layout(place), fewest=2, grace=0)
        assert rows(place) == expected


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(2, 60), st.integers(1, 5))
def test_groups_take_each_small_file_at_most_once(sizes: list[int], target: int, fewest: int) -> None:
    part = Part("robots/date=2026-03-01", {name: Stored(name, size) for size in sizes for name in [new_id()]})
    found = list(module.groups(part, target, fewest))
    names = [name for group in found for name in group]
    assert names == sorted(set(names))
    assert all(part.live[name].bytes < target // 2 for name in names)
    assert all(sum(part.live[name].bytes for name in group) >= target for group in found[:-1])
    assert all(len(group) >= min(2, fewest) for group in found)

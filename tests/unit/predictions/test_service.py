"""The service does what is due, says each trouble once, and goes on when it is over."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.predictions import __main__ as program
from pantheon.predictions.keep import ask, asked
from pantheon.predictions.place import FolderPlace, Stored, open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.segments import segments
from pantheon.predictions.service import Service
from pantheon.predictions.ship import ship
from tests.support.predictions import answered, segment

DAY = 86_400_000_000


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(tmp_path: Path, said: list[str]) -> Service:
    return Service(tmp_path, tmp_path / "spool", timedelta(days=30), said.append)


def test_one_look_stores_forgets_and_removes(service: Service, said: list[str]) -> None:
    place = open_place(service.state)
    now = answered()
    segment(service.spool, [(now, {"a": 1}, 0), (answered(), {"a": 2}, 0)])
    segment(service.spool, [(answered(id="old", at=now.at - 40 * DAY), {}, 0)])
    ask(place, "a", "2")
    assert service.look()
    assert predictions(place, service.spool)["id"].to_list() == [now.id]
    assert "was removed: it is older than 30 days." in "".join(said)
    assert "Forgotten as asked (a): 1 prediction and 0 pieces of feedback" in "".join(said)
    assert list(asked(place)) == []


def test_trouble_is_told_once_and_so_is_its_end(
    service: Service, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(service.spool, [(answered(), {}, 0)])
    real = FolderPlace.put_new

    def broken(*_: object) -> bool:
        raise PantheonError("the store does not answer.", "Start it.", 1)

    monkeypatch.setattr(FolderPlace, "put_new", broken)
    assert [service.look(), service.look()] == [False, False]
    assert said == ["the store does not answer. Start it."]
    monkeypatch.setattr(FolderPlace, "put_new", real)
    assert [service.look(), service.look()] == [True, True]
    assert said[1:] == ["Predictions are stored again."]
    assert predictions(open_place(service.state), service.spool).height == 1


def test_trouble_does_not_end_because_there_is_nothing_to_store(
    service: Service, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[Stored]:
        raise PantheonError("the store does not answer.", "Start it.", 1)

    with monkeypatch.context() as away:
        away.setattr(FolderPlace, "list", broken)
        assert [service.look(), service.look()] == [False, False]
    assert service.look()
    assert said == ["the store does not answer. Start it.", "Predictions are stored again."]


def test_a_damaged_file_does_not_stop_it(service: Service, said: list[str]) -> None:
    for _ in range(10):
        segment(service.spool, [(answered(), {}, 0)])
    ship(open_place(service.state), service.spool)
    damaged = next((service.state / "predictions").rglob("*.parquet"))
    damaged.write_bytes(b"PAR1")
    segment(service.spool, [(answered(), {}, 0)])
    assert not service.look()
    assert "parquet" in said[0]
    assert segments(service.spool) == []
    with pytest.raises(PantheonError, match=r"a file of the log in .* is damaged"):
        predictions(open_place(service.state), service.spool)
    damaged.unlink()
    assert predictions(open_place(service.state), service.spool).height == 10


@pytest.mark.parametrize(("text", "kept"), [("", None), ("90d", timedelta(days=90)), ("48h", timedelta(days=2))])
def test_for_how_long_predictions_are_kept(text: str, kept: timedelta | None) -> None:
    assert program.kept(text) == kept


@pytest.mark.parametrize("text", ["1h", "soon", "0"])
def test_less_than_a_day_is_refused(text: str) -> None:
    with pytest.raises(PantheonError, match=r"duration|less than a day"):
        program.kept(text)


def test_without_its_folders_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STATE_DIR", raising=False)
    assert program.main() == 2
    assert "STATE_DIR must name a deployment's state folder" in capsys.readouterr().err

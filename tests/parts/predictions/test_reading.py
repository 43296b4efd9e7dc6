"""Reading while others write, store, merge and remove: nothing that was acknowledged before is missing or doubled."""

import threading
import time
from pathlib import Path

import pytest

from pantheon.predictions.compact import compact
from pantheon.predictions.layout import Layout
from pantheon.predictions.place import open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.ship import ship, storing
from tests.support.prediction_writer import Writer

SECONDS = 3.0


@pytest.mark.parametrize("state", ["folder", "seaweedfs"], indirect=True)
def test_a_reader_sees_all_that_was_acknowledged(state: Path, tmp_path: Path) -> None:
    spool, stop, failed = tmp_path / "spool", threading.Event(), list[BaseException]()

    def store() -> None:
        """As the service does, without its pauses; what is replaced is removed after a second."""
        try:
            place = open_place(state)
            while not stop.is_set():
                with storing(spool):
                    ship(place, spool)
                    compact(Layout(place), fewest=3, grace=1.0)
        except BaseException as error:
            failed.append(error)
            raise

    writer, thread = Writer(spool, pause=0.001), threading.Thread(target=store)
    thread.start()
    reads = 0
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            before = list(writer.acknowledged)
            found = predictions(open_place(state), spool, columns=("id",))["id"]
            assert found.is_unique().all()
            assert set(before) <= set(found)
            reads += 1
    finally:
        writer.kill()
        stop.set()
        thread.join()
    assert failed == []
    assert reads > 3

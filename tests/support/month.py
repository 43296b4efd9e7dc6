"""A month of a model's log, simulated: robots are asked about by day, in groups, with feedback; and what goes wrong.

Records go through the real spool and its shipper into a folder; nothing is predicted by a real model, since the monitor
only reads.
"""

import json
import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pantheon.monitoring.monitor import monitor
from pantheon.monitoring.report import Report
from pantheon.predictions.place import FolderPlace
from pantheon.predictions.records import Answered, Feedback
from pantheon.predictions.ship import ship
from pantheon.predictions.spool import Spool
from pantheon.store import FolderStore
from pantheon.workflow.bundle.distribution import of_codes, of_numbers
from pantheon.workflow.bundle.reference import Reference
from tests.support.bundles import ROBOTS, bundle

BATTERIES, SHARES = ("high", "low", "medium"), (0.5, 0.2, 0.3)
REGIONS = {"north": 0.0, "south": 0.8, "east": -0.5}  # some groups have another rate, for good reasons
START = datetime(2026, 3, 1, tzinfo=UTC)  # a Sunday
DAY = timedelta(days=1)
ACCURACY = 0.9


@dataclass(frozen=True)
class Traffic:
    """A day of requests.

    Attributes:
        rows: fewer on weekends.
        shift: of the rust level, in standard deviations.
        halved: the region whose rate of good predictions is halved.
        renamed: the battery ``medium`` is sent as this.
        refused: share of requests that are refused.
        accuracy: of the predictions, as far as they are judged.
        judged: share of the predictions.
        missing: whether the age is left out.
    """

    rows: int = 2000
    shift: float = 0.0
    halved: str = ""
    renamed: str = ""
    refused: float = 0.002
    accuracy: float = ACCURACY
    judged: float = 0.15
    missing: bool = False


CLEAN = Traffic()
Day = Callable[[datetime], Traffic]


class Month:
    """The log of a model, one window of a day after another.

    Args:
        folder: for the store, the spool and the log.
        described: whether the model's bundle describes its training.
    """

    def __init__(self, folder: Path, seed: int, described: bool = True) -> None:
        self.random = np.random.default_rng(seed)
        self.place, self.spool = FolderPlace(folder / "predictions"), folder / "spool"
        self.store, self.day, self.last = FolderStore(folder / "models"), START, None
        self.last: Report | None
        inputs = [dict(each, nullable=True) for each in ROBOTS]
        inputs[2]["unknown"] = "other"
        made = bundle(folder / "bundle", inputs, score=ACCURACY)
        if described:
            (made / "reference.json").write_bytes(msgspec.json.encode(self._reference()))
        self.store.promote("robots", self.store.publish("robots", made, {}), "champion", expected=None)

    def run(self, days: int, day: Day = lambda _: CLEAN) -> list[Report]:
        """Simulate some days; return a report about each."""
        found = []
        for _ in range(days):
            self.write(day(self.day))
            self.day += DAY
            self.last = monitor(
                self.store, self.place, self.spool, "robots", until=self.day, window=DAY, previous=self.last
            )
            found.append(self.last)
        return found

    def copy(self, folder: Path, seed: int) -> "Month":
        """Another month that begins with what this one has seen, to go on otherwise."""
        other = copy(self)
        shutil.copytree(self.place.folder, folder / "predictions")
        other.place, other.spool = FolderPlace(folder / "predictions"), folder / "spool"
        other.random = np.random.default_rng(seed)
        return other

    def write(self, traffic: Traffic) -> None:
        """Write a day's requests and feedback."""
        weekend = self.day.weekday() >= 5
        rows = self._rows(traffic, weekend)
        spool = Spool(self.spool)
        seconds = np.sort(self.random.uniform(0, 86_399, len(rows)))
        for row, second in zip(rows, seconds, strict=True):
            at = int((self.day.timestamp() + second) * 1e6)
            refused = self.random.random() < traffic.refused
            record = answered_at(self.random, at, status=422 if refused else 200)
            if refused:
                error = 'Row 0, "battery": expected a text, got {}.'
                spool.answered(msgspec.structs.replace(record, error=error), json.dumps([row]).encode(), b"")
                continue
            good = self._is_good(row, traffic, weekend)
            spool.answered(record, json.dumps([row]).encode(), json.dumps({"prediction": [int(good)]}).encode())
            if self.random.random() < traffic.judged:
                correct = bool(self.random.random() < traffic.accuracy)
                spool.feedback(Feedback(record.id, 0, at + 1_000_000, correct, None, "", "shop", "endpoint"))
        spool.close()
        ship(self.place, self.spool)

    def _rows(self, traffic: Traffic, weekend: bool) -> list[dict[str, Any]]:
        rows = traffic.rows // 2 if weekend else traffic.rows
        age, rust, battery = self._inputs(rows)
        rust = np.clip(rust + traffic.shift * 2.0, 0, 10)
        names = {"medium": traffic.renamed or "medium"}
        regions = self.random.choice(list(REGIONS), rows, p=(0.5, 0.3, 0.2))
        found = []
        for a, r, b, region in zip(age, rust, battery, regions, strict=True):
            row = {
                "robot-age": round(float(a), 2),
                "rust-level": round(float(r), 2),
                "battery": names.get(b, str(b)),
                "context": {"region": str(region), "customer": int(self.random.integers(10_000))},
            }
            if traffic.missing:
                del row["robot-age"]
            found.append(row)
        return found

    def _inputs(self, rows: int) -> tuple[Any, Any, Any]:
        age = self.random.gamma(4, 3, rows)
        rust = np.clip(self.random.normal(5, 2, rows), 0, 10)
        return age, rust, self.random.choice(BATTERIES, rows, p=SHARES)

    def _is_good(self, row: dict[str, Any], traffic: Traffic, weekend: bool) -> bool:
        region = row["context"]["region"]
        score = 1.0 - 0.3 * (row["rust-level"] - 5) + REGIONS[region] + (0.2 if weekend else 0.0)
        rate = 1 / (1 + np.exp(-score))
        return bool(self.random.random() < (rate / 2 if region == traffic.halved else rate))

    def _reference(self) -> Reference:
        rows = 5000
        age, rust, battery = self._inputs(rows)
        codes = np.searchsorted(BATTERIES, battery).astype(np.float32)
        columns = {
            "robot-age": of_numbers(age.astype(np.float32)),
            "rust-level": of_numbers(rust.astype(np.float32)),
            "battery": of_codes(codes, BATTERIES),
        }
        regions = self.random.choice(list(REGIONS), rows, p=(0.5, 0.3, 0.2))
        given = [
            {"rust-level": float(each), "context": {"region": str(region)}}
            for each, region in zip(rust, regions, strict=True)
        ]
        predicted = np.array([self._is_good(row, CLEAN, False) for row in given], np.float32)
        return Reference(1, rows, columns, None, of_codes(predicted, ("0", "1")))


def answered_at(random: np.random.Generator, at: int, **changes: Any) -> Answered:
    """A record of a time, with an id of that time."""
    high = (at // 1000) << 16 | 0x7000 | int(random.integers(1 << 12))
    low = int(random.integers(1 << 62)) | 1 << 63
    text = f"{high:016x}{low:016x}"
    id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    given = {"version": "1", "arm": "champion", "reason": "champion", "key": "shop", "ms": float(random.gamma(2, 0.1))}
    return Answered(id=id, at=at, model="robots", **(given | changes))

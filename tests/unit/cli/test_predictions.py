"""What ``bin/pantheon predictions ID`` says of a row whose features were looked up."""

from typing import Any

from pantheon.cli.predictions import _inputs, _looked_up

ENTITY: dict[str, Any] = {"entity": {"robot-id": "7"}}
USED = ENTITY | {"views": {"robots": {"time": "2026-03-01T12:00:00.000000Z", "inputs": ["battery", "rust-level"]}}}


def test_inputs_and_where_they_came_from_are_told_apart() -> None:
    row = {"robot-age": 5, "battery": "low", "rust-level": 9}
    assert _inputs(row | {"_features": USED}) == row
    said = "of robot-id 7: battery, rust-level from robots, of 2026-03-01 12:00:00 UTC"
    assert _looked_up(row | {"_features": USED}) == said
    assert _looked_up(row | {"_features": ENTITY | {"views": {}}}) == "of robot-id 7: the request had all inputs"
    assert (_inputs(row), _looked_up(row)) == (row, "")


def test_a_refused_request_names_its_entities() -> None:
    rows = [{"robot-id": 7, "_features": ENTITY}, {"robot-age": 5}]
    assert _inputs(rows) == [{"robot-id": 7}, {"robot-age": 5}]
    assert _looked_up(rows) == "of robot-id 7: none were used"
    assert (_inputs("?"), _looked_up("?")) == ("?", "")

"""IGNORE= leaves columns of a dataset out, in the spec of the deployment."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data.spec_file import read_spec
from pantheon.workflow.datasets import leave_out


def test_a_column_is_left_out_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    own = tmp_path / "data" / "robots.toml"
    assert leave_out(tmp_path, "robots", "battery") == ["battery"]
    assert read_spec(own).column("battery").role == "ignore"
    own.write_text(own.read_text() + "\n# a note of the user's\n")
    leave_out(tmp_path, "robots", "robot-age")
    assert "# a note of the user's" in own.read_text()
    assert [column.name for column in read_spec(own).features] == ["rust-level"]


def test_without_its_entity_the_data_is_split_by_rows(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    leave_out(tmp_path, "robots", "robot-id, battery")
    spec = read_spec(tmp_path / "data" / "robots.toml")
    assert (spec.split.by, spec.split.column) == ("hash", "")


@pytest.mark.parametrize(
    ("columns", "cause", "cure"),
    [
        ("batery", "the dataset 'robots' has no column 'batery'.", "Did you mean 'battery'?"),
        ("condition", "'condition' is the target.", "Choose another column, or another TARGET."),
        ("robot-age,rust-level,battery", "leaves no valid spec", "Leave out fewer columns."),
    ],
)
def test_what_cannot_be_left_out_is_refused_and_nothing_is_written(
    tmp_path: Path, columns: str, cause: str, cure: str
) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(PantheonError) as error:
        leave_out(tmp_path, "robots", columns)
    assert cause in error.value.cause
    assert error.value.cure == cure
    assert not list((tmp_path / "data").iterdir())

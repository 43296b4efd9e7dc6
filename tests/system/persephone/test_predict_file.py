"""``predict-file`` as a user calls it: files on this machine, rows in a task of the workflow."""

import os
import signal
from pathlib import Path

import polars as pl

from tests.support.command_line import Pantheon
from tests.support.waiting import until


def test_a_file_is_predicted(persephone: Pantheon, tmp_path: Path) -> None:
    given, output = tmp_path / "robots.csv", tmp_path / "out.parquet"
    given.write_text("robot-age,rust-level,battery,owner\n5,9,low,Zoë\nold,9,low,Max\n1,0,high,Ada\n")
    answer = persephone("predict-file", str(given), str(output), "--probabilities", "--json", check=False)
    assert answer.status == 3, answer.err
    done = answer.json
    served = persephone("status", "--json").json["model"]["version"]  # other tests of this deployment train, too
    assert (done["model"], done["version"]) == ("robots", served)
    assert (done["rows"], done["predicted"], done["refused"]) == (3, 2, 1)
    found = pl.read_parquet(output)
    assert found["owner"].to_list() == ["Zoë", "Ada"]
    assert found["prediction"].to_list() == [0, 1]
    assert found["probability_0"].is_between(0, 1).all()
    refused = pl.read_parquet(done["refused_file"])
    assert refused["refused_row"].to_list() == [2]
    again = persephone("predict-file", str(given), str(output), check=False)
    assert "exists. Choose another name, or replace it: --overwrite" in again.message
    given.write_text("robot-age,rust-level,battery,owner\n5,9,low,Zoë\n")
    assert "1 of 1 rows" in persephone("predict-file", str(given), str(output), "--overwrite").err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "robots.csv"]


def test_what_cannot_be_read_or_written_is_said_first(persephone: Pantheon, tmp_path: Path) -> None:
    given = tmp_path / "robots.csv"
    given.write_text("a,b\n1,2\n")
    for arguments, message in (
        ((given, tmp_path / "out.docx"), "the format of the output is not known"),
        ((given, tmp_path / "nowhere" / "out.csv"), "does not exist. Create it: `mkdir -p"),
        ((given, given), "is the input"),
        ((tmp_path / "none.csv", tmp_path / "out.csv"), "none.csv does not exist"),
        ((given, tmp_path / "out.csv"), "robots.csv has no column 'robot-age', which the model needs"),
    ):
        answer = persephone("predict-file", *map(str, arguments), check=False)
        assert message in answer.message
        assert answer.status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["robots.csv"]


def test_an_interrupted_command_leaves_no_file(persephone: Pantheon, tmp_path: Path) -> None:
    given = tmp_path / "robots.csv"
    lines = "".join(f"{n % 60},{n % 10}\n" for n in range(500_000))
    given.write_text(f"robot-age,rust-level\n{lines}")
    command = persephone.popen("predict-file", str(given), str(tmp_path / "out.csv"))
    data = persephone.state / "data"
    until(lambda: list(data.glob(".predicting-*/files/*")))
    os.killpg(command.pid, signal.SIGINT)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 130, errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["robots.csv"]
    assert list(data.glob(".predicting-*")) == []

"""Rows of a file are predicted as the same rows in a request; those that are refused are kept apart with the reason."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pantheon.errors import PantheonError
from serving.batch import table as tables
from serving.batch.encoding import encode, predictions
from serving.batch.predicting import Done, Job
from serving.batch.table import REASON, ROW, read_table
from serving.model.predictor import Predictor
from serving.model.signature import Signature
from serving.problems import Problem
from tests.support.bundles import AS_FILE, EVERY_TYPE, ROBOTS, TEXT, bundle, signature
from tests.support.excel import write_excel

TEXTS = ["", "1", "2.5", "1.234,5 €", " 7 ", "-999", "ja", "Nein", "true", "31.12.1999", "2024-03-01", "Bern", "bern "]
TEXTS += ["k. a.", "NA", "x y", "Argos", "Sparta", "1e400", "9" * 60, "2024-03-01T10:30:00Z"]
TYPED: dict[str, list[Any]] = {
    "ints": [1, -5, None, 2**40],
    "floats": [0.5, 3.0, float("nan"), None],
    "bools": [True, False, None],
    "dates": [date(2024, 3, 1), None],
    "times": [datetime(2024, 3, 1, 10, 30), None],
}


def as_json(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    return value.isoformat() if isinstance(value, (date, datetime)) else value


@pytest.mark.parametrize("inputs", [ROBOTS, EVERY_TYPE, AS_FILE], ids=["robots", "every type", "as a file"])
@pytest.mark.parametrize("values", [TEXTS, *TYPED.values()], ids=["texts", *TYPED])
def test_a_cell_is_read_as_the_same_value_in_a_request(inputs: list[dict[str, Any]], values: list[Any]) -> None:
    read = Signature({**signature(inputs), **({"text": TEXT} if inputs is AS_FILE else {})})
    for field in read.fields:
        cells = [value or None for value in values] if values is TEXTS else values  # blank cells are null
        one = Signature({**read.raw, "inputs": [field.raw]})
        matrix, reasons = encode(pl.DataFrame({field.name: cells}), one.fields)
        for place, value in enumerate(cells):
            try:
                wanted = one.encode_row({field.name: as_json(value)}, 0)[0]
            except Problem as problem:
                assert problem.expected
                assert problem.expected in reasons.pop(place), (field.name, value)
                continue
            assert matrix[place, 0] == pytest.approx(wanted, rel=1e-6, nan_ok=True), (field.name, value)
        assert reasons == {}, field.name


@pytest.fixture
def robots(tmp_path: Path) -> Predictor:
    return Predictor(bundle(tmp_path / "bundle"), "robots", "1")


def predict(predictor: Predictor, file: Path, form: str = "csv", header: str = "", **given: Any) -> tuple[Done, Path]:
    folder = file.parent / "scratch"
    folder.mkdir()
    table = read_table(file, predictor.signature.fields, header, folder)
    paths = folder / "output", folder / "refused"
    probabilities = given.get("probabilities", False)
    return Job(predictor, table, probabilities, form, *paths, lambda done: None).run(), folder


def write(tmp_path: Path, text: str, name: str = "robots.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return path


def test_rows_are_predicted_and_others_kept_apart(
    robots: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.batch.predicting.MOST_ROWS", 3)
    monkeypatch.setattr("serving.batch.predicting.LEAST_ROWS", 1)
    lines = ["owner;robot-age;rust-level;battery", "Zoë;5;9;low", "b;old;99;low", "c;;3;high", "d;61;3;full", "e;1;;"]
    done, folder = predict(robots, write(tmp_path, "\n".join(lines) + "\n", encoding="cp1252"), probabilities=True)
    assert (done.rows, done.predicted, done.refused, done.notes) == (5, 2, 3, [])
    good = pl.read_csv(folder / "output", infer_schema=False)
    assert good.columns == [
        "owner",
        "robot-age",
        "rust-level",
        "battery",
        "prediction",
        "probability_0",
        "probability_1",
    ]
    rows = [{"robot-age": 5, "rust-level": 9, "battery": "low"}, {"robot-age": 1}]
    answer = robots.predict(rows)
    assert good["owner"].to_list() == ["Zoë", "e"]
    assert good["prediction"].to_list() == [json.dumps(each) for each in answer.prediction]
    assert answer.probabilities
    assert good["probability_1"].cast(pl.Float64).to_list() == [share[1] for share in answer.probabilities]
    bad = pl.read_csv(folder / "refused", infer_schema=False)
    assert bad.columns == [ROW, REASON, "owner", "robot-age", "rust-level", "battery"]
    assert bad["owner"].to_list() == ["b", "c", "d"]
    assert [number for number, _ in done.first] == [2, 3, 4] == bad[ROW].cast(int).to_list()
    reasons = bad[REASON].to_list()
    assert reasons[0] == (
        'robot-age: expected a number from 0 to 60, got "old"; rust-level: expected a number from 0 to 10, got "99"'
    )
    assert reasons[1] == "robot-age: a value is required: expected a number from 0 to 60"
    assert 'battery: expected one of "high", "low", "medium"' in reasons[2]


def test_refused_rows_can_be_corrected_and_predicted(robots: Predictor, tmp_path: Path) -> None:
    path = write(tmp_path, f"{ROW},{REASON},robot-age\n17,it was old,5\n")
    done, folder = predict(robots, path)
    assert done.predicted == 1
    assert pl.read_csv(folder / "output").columns == ["robot-age", "prediction"]
    assert done.notes == [
        f"the file has no column '{name}': its values are taken as missing" for name in ("rust-level", "battery")
    ]


def test_lines_that_are_not_data_are_kept_apart(robots: Predictor, tmp_path: Path) -> None:
    text = "All robots\n\nrobot-age,rust-level,battery\n1,2,low\n,,\nrobot-age,rust-level,battery\n3,4,high\nTotal,6,\n"
    done, _ = predict(robots, write(tmp_path, text))
    assert done.predicted == 2
    assert done.first == [(2, tables.BLANK), (3, tables.REPEATED), (5, tables.NOTE)]


def test_a_file_without_a_header(tmp_path: Path) -> None:
    inputs = [{**ROBOTS[0], "name": "column_1"}, {**ROBOTS[1], "name": "column_2"}]
    predictor = Predictor(bundle(tmp_path / "bundle", inputs), "robots", "1")
    done, folder = predict(predictor, write(tmp_path, "1,2\n3,4\n"), header="none")
    assert done.predicted == 2
    assert pl.read_csv(folder / "output").columns == ["column_1", "column_2", "prediction"]


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "xlsx"])
def test_every_format_has_the_same_values(
    robots: Predictor, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.batch.predicting.MOST_ROWS", 2)
    monkeypatch.setattr("serving.batch.predicting.LEAST_ROWS", 1)
    frame = pl.DataFrame(
        {
            "robot-age": [5.5, 70.0, 3.25, 1.0],
            "battery": ["low", "high", None, "medium"],
            "seen": [date(2024, 3, 1), None, date(2020, 1, 1), None],
            "a & <b>": ["x\x01", ' "q" ', "=1+1", "&amp;"],
            "number": [2**60, None, 1, 2],
            "right": [True, False, None, True],
        }
    )
    frame.write_parquet(tmp_path / "robots.parquet")
    done, folder = predict(robots, tmp_path / "robots.parquet", form)
    assert (done.predicted, done.refused) == (3, 1)
    kept = frame[[0, 2, 3]]
    labels = robots.predict(
        [{"robot-age": 5.5, "battery": "low"}, {"robot-age": 3.25}, {"robot-age": 1, "battery": "medium"}]
    )
    if form == "parquet":
        assert pl.read_parquet(folder / "output").equals(kept.with_columns(prediction=pl.Series(labels.prediction)))
        return
    if form == "xlsx":
        (folder / "output").rename(folder / "output.xlsx")
        got = pl.read_excel(folder / "output.xlsx", infer_schema_length=None)
        assert got["a & <b>"].to_list() == ["x\ufffd", "=1+1", "&amp;"]
        assert got["number"].cast(pl.String).to_list() == [str(2**60), "1", "2"]
        assert got["right"].to_list() == [True, None, True]
    else:
        got = pl.read_csv(folder / "output", separator="," if form == "csv" else "\t")
        assert got["a & <b>"].to_list() == kept["a & <b>"].to_list()
        assert got["number"].to_list() == kept["number"].to_list()
    assert got["robot-age"].to_list() == kept["robot-age"].to_list()
    assert got["prediction"].to_list() == labels.prediction
    assert got["seen"].cast(pl.String).to_list() == ["2024-03-01", "2020-01-01", None]


def test_a_workbook_is_read(robots: Predictor, tmp_path: Path) -> None:
    write_excel(tmp_path / "robots.xlsx", [["robot-age", "battery"], [5, "low"], ["x", None]])
    done, _ = predict(robots, tmp_path / "robots.xlsx")
    assert (done.predicted, done.refused) == (1, 1)


def test_categories_that_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    inputs = [{**ROBOTS[2], "unknown": "warn"}]
    predictor = Predictor(bundle(tmp_path / "bundle", inputs), "robots", "1")
    done, _ = predict(predictor, write(tmp_path, "battery,x\nlow,1\nflat,2\nempty,3\n"))
    assert done.predicted == 3
    assert done.notes == ['"battery": the model does not know "empty", "flat", and takes it as missing']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rust-level,battery\n1,low\n", "has no column 'robot-age', which the model needs"),
        ("robot_age,battery\n1,low\n", "Did you mean 'robot_age'"),
        ("robot-age,battery\n", "has a header but no rows"),
        ("robot-age,robot-age\n1,2\n", "are both named 'robot-age'"),
        ("robot-age,prediction\n1,2\n", "has a column 'prediction' already"),
    ],
)
def test_what_cannot_be_predicted_is_said(robots: Predictor, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PantheonError, match=message):
        predict(robots, write(tmp_path, text))


def test_a_column_of_lists_is_refused(robots: Predictor, tmp_path: Path) -> None:
    pl.DataFrame({"robot-age": [[1], [2]]}).write_parquet(tmp_path / "lists.parquet")
    with pytest.raises(PantheonError, match="'robot-age' has the type List"):
        predict(robots, tmp_path / "lists.parquet")


def test_a_model_that_fails_for_some_rows_predicts_the_others(robots: Predictor, tmp_path: Path) -> None:
    run = robots.run

    def fragile(features: Any, *given: Any) -> Any:
        if (features[:, 0] == 13).any():
            raise Problem(422, "The model fails for these values: unlucky")
        return run(features, *given)

    robots.run = fragile  # type: ignore[method-assign]
    ages = [13 if place in (3, 40, 41) else place % 10 for place in range(60)]
    done, folder = predict(
        robots, write(tmp_path, "robot-age,n\n" + "".join(f"{age},{n}\n" for n, age in enumerate(ages)))
    )
    assert (done.predicted, done.refused) == (57, 3)
    assert done.first == [(row, "The model fails for these values: unlucky") for row in (4, 41, 42)]
    assert pl.read_csv(folder / "output")["n"].to_list() == [n for n in range(60) if n not in (3, 40, 41)]


def test_classes_keep_their_type() -> None:
    assert predictions([1, 0], [0, 1], "p").dtype == pl.Int64
    assert predictions(["a"], ["a", "b"], "p").dtype == pl.String
    assert predictions([True], [True, False], "p").dtype == pl.Boolean
    assert predictions([1.5], [], "p").dtype == pl.Float64
    assert predictions([1, "a"], [1, "a"], "p").to_list() == ["1", '"a"']

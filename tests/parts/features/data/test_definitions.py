"""Views and feature services in Feast's registry: nothing that somebody uses is lost or changed."""

from io import BytesIO
from typing import Any

import msgspec
import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.features.client import Refused
from pantheon.features.contract import Chosen, Field, View
from tests.support.feature_data import MOMENT, START, Data, parquet

AGE = Field(
    name="age",
    column="robot-age",
    type="number",
    description="years",
    minimum=0.0,
    maximum=60.0,
    max_missing=0.1,
)
RUST = Field(name="rust", column="rust-level", type="integer")
LOG = Field(name="log_age", column="log age", type="number", expression='log1p("robot-age")', of=["robot-age"])


def view(name: str, *fields: Field, **more: Any) -> View:
    given = {"set": name, "kind": "raw", "key": "robot_id", "entity": "robot-id", "time": "seen", "owner": "ada"} | more
    return View(name=name, fields=list(fields), **given)


def rows(**columns: list[Any]) -> bytes:
    return parquet(pl.DataFrame({"robot_id": ["7"], "event_timestamp": [START], **columns}))


def ask(data: Data, service: str, robot: str = "7") -> dict[str, Any]:
    """The features of a robot at the start."""
    frame = pl.DataFrame({"row_id": [0], "robot_id": [robot], "event_timestamp": pl.Series([START]).cast(MOMENT)})
    return pl.read_parquet(BytesIO(data.client.historical(service, parquet(frame)))).drop("row_id").row(0, named=True)


def test_a_view_keeps_what_it_says_of_itself(data: Data) -> None:
    given = view(
        "full", AGE, RUST, LOG, kind="engineered", ttl_seconds=60.0, freshness_seconds=5.0, description="d", run="r"
    )
    assert data.client.apply([given]) == [given]
    assert [msgspec.convert(each, View) for each in data.do("views") if each["name"] == "full"] == [given]
    chosen = Chosen(
        name="full_1", set="full", features=["full:age", "full:rust"], run="r", owner="ada", description="d"
    )
    assert data.client.choose(chosen) == "full_1"
    assert msgspec.to_builtins(chosen) in data.do("services")


def test_old_models_go_on_when_a_field_is_added_retyped_renamed_or_removed(data: Data) -> None:
    (first,) = data.client.apply([view("robots", AGE, RUST)])
    data.client.write(first.name, rows(age=[5.0], rust=[3]))
    data.client.choose(Chosen(name="old", set="robots", features=["robots:age", "robots:rust"]))
    assert ask(data, "old") == {"robots:age": 5.0, "robots:rust": 3}

    retyped = msgspec.structs.replace(RUST, type="number")
    renamed = msgspec.structs.replace(RUST, name="rust_level")
    changes = ((AGE, RUST, LOG), (AGE, retyped), (AGE, renamed), (AGE,))
    for number, fields in enumerate(changes, 2):
        for _ in range(2):
            assert data.client.apply([view("robots", *fields)])[0].name == f"robots_{number}"
    assert ask(data, "old") == {"robots:age": 5.0, "robots:rust": 3}
    assert data.client.apply([view("robots", AGE, RUST)])[0].name == "robots"


def test_an_added_field_is_known_at_the_time_of_its_rows_and_old_models_get_fresh_values(data: Data) -> None:
    data.client.apply([view("wheels", AGE)])
    data.client.write("wheels", rows(age=[5.0]))
    data.client.choose(Chosen(name="wheels_old", set="wheels", features=["wheels:age"]))
    (added,) = data.client.apply([view("wheels", AGE, RUST)])
    data.client.choose(Chosen(name="wheels_new", set="wheels", features=[f"{added.name}:rust"]))
    later = {"robot_id": ["7", "8"], "event_timestamp": [START, START], "age": [5.0, 6.0], "rust": [1, 2]}
    assert data.client.write(added.name, parquet(pl.DataFrame(later))).new == 2
    assert ask(data, "wheels_new") == {"wheels_2:rust": 1}
    assert ask(data, "wheels_old", "8") == {"wheels:age": 6.0}


def test_what_users_define_stays(data: Data, tmp_path: Any) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame({"wheel_id": [1], "at": [START], "x": [1.0]}).write_parquet(path)
    data.do("user", key="wheel_id", view="gears", service="mine", path=str(path))
    (ours,) = data.client.apply([view("gears", AGE, key="wheel_id", entity="wheel-id")])
    assert ours.name == "gears_2"
    data.client.write(ours.name, parquet(pl.DataFrame({"wheel_id": ["1"], "event_timestamp": [START], "age": [1.0]})))
    with pytest.raises(Refused, match="A user has defined a feature service 'mine'"):
        data.client.choose(Chosen(name="mine", set="gears", features=["gears_2:age"]))
    found = data.do("names")
    assert {"gears", "gears_2"} <= set(found["views"])
    assert "mine" in found["services"]


def test_threads_that_define_at_once_lose_nothing(data: Data) -> None:
    many = [view(f"many{number}", AGE) for number in range(6)]
    same = [view("shared", AGE, Field(name=f"f{number}", column="c", type="text")) for number in range(3)]
    applied = data.do("apply", views=[msgspec.to_builtins(each) for each in (*many, *same)])
    assert sorted(applied) == sorted([*(each.name for each in many), "shared", "shared_2", "shared_3"])
    assert set(applied) <= set(data.do("names")["views"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (view("bad name", AGE), "'bad name' is not a valid name"),
        (view("none"), "has no fields"),
        (view("twice", AGE, AGE), "two columns called 'age'"),
        (view("kind", msgspec.structs.replace(AGE, type="list")), "the unknown type 'list'"),
        (view("own", msgspec.structs.replace(AGE, name="rn")), "a name that Feast uses itself"),
        (view("own", msgspec.structs.replace(AGE, name="pos_y")), "a name that Feast uses itself"),
        (view("own", AGE, key="row_id"), "a name that Feast uses itself"),
    ],
)
def test_a_wrong_view_is_refused_in_words(data: Data, given: View, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        data.client.apply([given])
    assert refused.value.code == 400


def test_wrong_requests_are_refused_in_words(data: Data) -> None:
    data.client.apply([view("ok", AGE)])
    data.client.choose(Chosen(name="ok_1", set="ok", features=["ok:age"]))
    good = pl.DataFrame({"robot_id": ["7"], "event_timestamp": [START], "age": [1.0]})
    asked = good.select("robot_id", "event_timestamp").with_columns(row_id=pl.lit(0, pl.Int64))
    cases: list[tuple[Any, int, str]] = [
        (lambda: data.client.write("unknown", parquet(good)), 404, "The view 'unknown' does not exist"),
        (lambda: data.client.write("ok", b"x"), 400, "not a Parquet file"),
        (lambda: data.client.write("ok", b""), 400, "not a Parquet file"),
        (lambda: data.client.write("ok", parquet(good.drop("age"))), 400, "have no column 'age'"),
        (
            lambda: data.client.write("ok", parquet(good.with_columns(age=pl.lit("x")))),
            400,
            "'age' of the view 'ok' is",
        ),
        (lambda: data.client.write("ok", parquet(good.with_columns(z=1))), 400, "has no field 'z'"),
        (lambda: data.client.write("ok", parquet(pl.concat([good, good]))), 400, "two rows of the same time"),
        (lambda: data.client.write("ok", parquet(good.with_columns(robot_id=None))), 400, "'robot_id' of the view"),
        (lambda: data.client.choose(Chosen(name="s", set="ok", features=[])), 400, "has no features"),
        (lambda: data.client.choose(Chosen(name="s", set="ok", features=["ok:no"])), 404, "has no field 'no'"),
        (lambda: data.client.choose(Chosen(name="s", set="ok", features=["no:no"])), 404, "The view 'no' does not"),
        (lambda: data.client.historical("no", parquet(asked)), 404, "feature service 'no' does not exist"),
        (lambda: data.client.historical("ok_1", b"PAR1"), 400, "not a Parquet file"),
        (lambda: data.client.historical("ok_1", parquet(asked.drop("row_id"))), 400, "no column 'row_id'"),
        (lambda: data.client.historical("ok_1", parquet(asked.with_columns(robot_id=7))), 400, "'robot_id' is INTEGER"),
    ]
    for work, code, words in cases:
        with pytest.raises(PantheonError) as refused:
            work()
        assert words in str(refused.value)
        assert isinstance(refused.value, Refused)
        assert refused.value.code == code


def test_checks_say_what_is_out_of_range(data: Data) -> None:
    data.client.apply([view("checked", AGE)])
    content = {"robot_id": ["7", "8"], "event_timestamp": [START, START], "age": [61.0, None]}
    found = data.client.write("checked", parquet(pl.DataFrame(content)))
    assert [(each.check, each.ok, each.value) for each in found.checks] == [
        ("minimum", True, 61.0),
        ("maximum", False, 61.0),
        ("max_missing", False, 0.5),
    ]
    assert found.new == 2

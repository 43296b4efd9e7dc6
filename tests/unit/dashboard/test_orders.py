"""What an order may say, and that it is placed and carried out once."""

import json
from pathlib import Path
from typing import Any

import pytest

from pantheon.dashboard.orders import Orders, Prepared, Progress, Record, read_order
from pantheon.dashboard.sources import Fetcher, Source, inside
from pantheon.errors import PantheonError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def order(**changes: Any) -> dict[str, Any]:
    model = {"url": "https://git.example.com/model.git", "commit": COMMIT}
    data = {"url": "https://git.example.com/data.git", "commit": COMMIT[:9], "path": "data/wine.csv"}
    made: dict[str, Any] = {"model": model, "data": data, "params": {"seed": 7}}
    for name, value in changes.items():
        part, _, field = name.partition("_")
        if field:
            made[part][field] = value
        else:
            made[part] = value
    return made


def body(**changes: Any) -> bytes:
    return json.dumps(order(**changes)).encode()


WRONG: list[tuple[bytes, str]] = [
    (b"{", "the order: Input data was truncated"),
    (b"[]", "the order: Expected `object`, got `array`"),
    (b"\xff", "the order: "),
    (b"[" * 100_000, "the order: "),
    (body(colour="red"), "contains unknown field `colour`"),
    (body(model="x"), "model: Expected `object`"),
    (body(model_commit=7), "model.commit: Expected `str`, got `int`"),
    (body(model_commit="main"), "model.commit: must be a commit's hash"),
    (body(model_url="--upload-pack=touch /tmp/x"), "model.url: must begin with https://"),
    (body(model_url="ext::sh -c true"), "model.url: must begin with"),
    (body(data_url="file:///etc"), "data.url: must begin with"),
    (body(data_url="https://ada:sesame@git.example.com/x"), "data.url: must not contain a user's name or password"),
    (body(data_credentials="../kubeflow/key"), "data.credentials: must be the name of a file in secrets/orders"),
    (body(data_path="../../etc/passwd"), "data.path: '../../etc/passwd' is not a path in the repository"),
    (body(data_path="/etc/passwd"), "data.path: '/etc/passwd' is not a path"),
    (body(data_path=""), "data.path: '' is not a path"),
    (body(params={"seed": "7"}), "seed must be a whole number, not '7'"),
    (body(params={"sede": 7}), "unknown parameter 'sede'"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[each[1] for each in WRONG])
def test_what_is_not_valid_is_refused_with_its_field(given: bytes, said: str) -> None:
    with pytest.raises(PantheonError) as error:
        read_order(given)
    assert said in str(error.value)
    assert "sesame" not in str(error.value), "a password is not repeated"


class Fetched(Fetcher):
    """Has every repository, without git."""

    def reachable(self, source: Source) -> None:
        pass

    def fetch(self, source: Source, folder: Path) -> str:
        (folder / ".git").mkdir()
        (folder / "params.yaml").write_text("train: {trials: 3, seed: 1}\n")
        (folder / "data").mkdir()
        (folder / "data" / "wine.csv").write_text("a,b\n")
        return COMMIT


class Pipeline:
    """Records what is started; ends when it is told."""

    def __init__(self) -> None:
        self.started: list[Prepared] = []
        self.now = Progress(said="train")

    def start(self, prepared: Prepared) -> str:
        self.started.append(prepared)
        return f"order-{prepared.placed.id}"

    def progress(self, run: str) -> Progress:
        return self.now


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def orders(tmp_path: Path, pipeline: Pipeline) -> Orders:
    return Orders(tmp_path / "orders", Fetched(tmp_path / "secrets", tmp_path / "home"), pipeline)


def test_an_order_that_is_sent_twice_is_placed_once(orders: Orders) -> None:
    first, new = orders.place("key-1", "ada", body())
    again, not_new = orders.place("key-1", "ada", body())
    assert (new, not_new, again) == (True, False, first)
    with pytest.raises(PantheonError, match="the key 'key-1' was used for another order of ada"):
        orders.place("key-1", "ada", body(note="changed"))
    other, new = orders.place("key-1", "bob", body(note="of somebody else"))
    assert new and other.id != first.id
    assert [placed.by for placed in orders.all()].count("ada") == 1
    with pytest.raises(PantheonError, match="1 to 128 visible characters"):
        orders.place("", "ada", body())
    with pytest.raises(PantheonError, match="there is no order"):
        orders.placed("../../../etc")


def test_an_order_is_carried_out_once_and_its_result_names_who_ordered_it(orders: Orders, pipeline: Pipeline) -> None:
    id = orders.place("key-1", "ada", body())[0].id
    assert orders.record(id).state == "checking"
    record = orders.carry_out(id)
    assert (record.state, record.run, record.progress) == ("running", f"order-{id}", "train")
    assert (record.params["seed"], record.params["trials"]) == (7, 3), "the order's before those of params.yaml"
    assert record.commits == {"model": COMMIT, "data": COMMIT}
    assert pipeline.started[0].data.read_text() == "a,b\n"
    orders.carry_out(id)
    assert len(pipeline.started) == 1
    pipeline.now = Progress(said="deploy", ended=True, result={"model": "wine", "version": "v1"})
    assert orders.unfinished() == [id]
    record = orders.carry_out(id)
    assert record.state == "done"
    assert record.result == {
        "model": "wine", "version": "v1", "by": "ada", "order": id, "commits": {"model": COMMIT, "data": COMMIT}
    }  # fmt: skip
    pipeline.now = Progress(failed="later")
    assert orders.carry_out(id) == record == orders.record(id)
    assert orders.unfinished() == []


@pytest.mark.parametrize("failing", ["start", "progress"])
def test_a_kill_at_any_point_continues_with_the_same_run(
    orders: Orders, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    id = orders.place("key-1", "ada", body())[0].id

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, failing, killed)
        with pytest.raises(KeyboardInterrupt):
            orders.carry_out(id)
    again = Orders(orders.folder, orders.fetcher, pipeline)  # as after a start
    assert again.unfinished() == [id]
    assert again.carry_out(id).run == f"order-{id}"
    assert {each.placed.id for each in pipeline.started} == {id}


def test_a_run_that_fails_ends_the_order_with_the_reason(orders: Orders, pipeline: Pipeline) -> None:
    id = orders.place("key-1", "ada", body())[0].id
    pipeline.now = Progress(said="train", failed="there are too few rows.")
    assert orders.carry_out(id).state == "failed"
    assert orders.record(id).reason == "there are too few rows."


def test_a_damaged_record_is_named(orders: Orders) -> None:
    id = orders.place("key-1", "ada", body())[0].id
    assert orders.record(id) == Record(at=orders.placed(id).at)
    (orders.folder / id / "record.json").write_text("{")
    with pytest.raises(PantheonError, match=r"record\.json is damaged"):
        orders.record(id)


def test_links_do_not_lead_out_of_a_repository(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "data.csv").symlink_to("/etc/passwd")
    with pytest.raises(PantheonError, match="is not a path in the repository"):
        inside(tmp_path / "repository", "data.csv", "data.path")

"""What an order may say, and that it is placed and carried out once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantheon.dashboard.beginning import order_of
from pantheon.dashboard.carrying import Carrier, Later, Prepared, Progress
from pantheon.dashboard.orders import KeyUsed, Orders, Placed, Record, read_order, shown
from pantheon.dashboard.sources import Fetcher, Source
from pantheon.dashboard.taking import Asked, own_spec
from pantheon.dashboard.tracked import inside, remote_of, tracked
from pantheon.dashboard.words import short
from pantheon.dashboard.words import yaml as as_yaml
from pantheon.errors import PantheonError
from pantheon.workflow.run import Ordered

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def order(**changes: Any) -> dict[str, Any]:
    model = {"url": "https://git.example.com/model.git", "commit": COMMIT}
    data = {"url": "https://git.example.com/data.git", "commit": COMMIT[:9], "path": "data/Sales 2024.csv"}
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
    (body(name="Sales 2024"), "name: 'Sales 2024' is not valid"),
    (body(name="robots"), "name: robots is a dataset that ships with Pantheon"),
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
        (folder / "data" / "Sales 2024.csv").write_text("a,b\n")
        return COMMIT


class Pipeline:
    """Records what is started; ends when it is told."""

    def __init__(self) -> None:
        self.started: list[Prepared] = []
        self.now = Progress(said="train")
        self.cleared: list[str] = []

    def start(self, prepared: Prepared) -> str:
        self.started.append(prepared)
        return f"order-{prepared.placed.id}"

    def progress(self, placed: Placed) -> Progress:
        return self.now

    def clear(self, placed: Placed) -> None:
        self.cleared.append(placed.id)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path / "orders")


@pytest.fixture
def carrier(tmp_path: Path, orders: Orders, pipeline: Pipeline) -> Carrier:
    return Carrier(orders, Fetched(tmp_path / "secrets", tmp_path / "home"), pipeline)


def placed(orders: Orders, key: str = "key-1", by: str = "ada", **changes: Any) -> tuple[Placed, bool]:
    return orders.place(key, by, read_order(body(**changes)))


def test_an_order_that_is_sent_twice_is_placed_once(orders: Orders) -> None:
    first, new = placed(orders)
    again, not_new = placed(orders)
    assert (new, not_new, again) == (True, False, first)
    with pytest.raises(KeyUsed, match="the key 'key-1' was used for another order of ada"):
        placed(orders, note="changed")
    other, new = placed(orders, by="bob", note="of somebody else", namespace="team")
    assert new and other.id != first.id
    assert [each.by for each, _ in orders.all()].count("ada") == 1
    assert [each.by for each, _ in orders.all("team")] == ["bob"]
    with pytest.raises(PantheonError, match="1 to 128 visible characters"):
        placed(orders, key="")
    with pytest.raises(PantheonError, match="there is no order"):
        orders.placed("../../../etc")
    assert (orders.folder / first.id / "order.json").stat().st_mode & 0o777 == 0o600


def test_a_model_is_named_after_its_data_unless_the_order_names_it() -> None:
    assert read_order(body()).model_name == "sales-2024"
    assert read_order(body(name="prices")).model_name == "prices"


def test_an_order_is_carried_out_once_and_its_result_names_who_ordered_it(
    orders: Orders, carrier: Carrier, pipeline: Pipeline
) -> None:
    id = placed(orders)[0].id
    assert orders.record(id).state == "checking"
    record = carrier.carry_out(id)
    assert (record.state, record.run, record.progress) == ("running", f"order-{id}", "train")
    assert (record.params["seed"], record.params["trials"]) == (7, 3), "the order's before those of params.yaml"
    assert record.commits == {"model": COMMIT, "data": COMMIT}
    assert pipeline.started[0].data.read_text() == "a,b\n"
    carrier.carry_out(id)
    assert len(pipeline.started) == 1
    pipeline.now = Progress(said="deploy", ended=True, result={"model": "wine", "version": "v1"})
    assert orders.unfinished() == [id]
    record = carrier.carry_out(id)
    assert record.state == "done"
    assert record.result == {
        "model": "wine", "version": "v1", "by": "ada", "order": id, "commits": {"model": COMMIT, "data": COMMIT}
    }  # fmt: skip
    pipeline.now = Progress(failed="later")
    assert carrier.carry_out(id) == record == orders.record(id)
    assert orders.unfinished() == []
    assert pipeline.cleared == [id] and not (orders.folder / id / "sources").exists()
    assert shown(orders.placed(id), record)["state"] == "done"


@pytest.mark.parametrize("failing", ["start", "progress"])
def test_an_order_waits_for_a_service_that_does_not_answer(
    orders: Orders, carrier: Carrier, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    id = placed(orders)[0].id

    def away(*_: Any) -> Any:
        raise Later("the service kubeflow does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, failing, away)
        with pytest.raises(Later):
            carrier.carry_out(id)
    assert orders.record(id).state == {"start": "fetching", "progress": "running"}[failing]
    assert carrier.carry_out(id).run == f"order-{id}"


def test_a_run_that_fails_ends_the_order_with_the_reason(orders: Orders, carrier: Carrier, pipeline: Pipeline) -> None:
    id = placed(orders)[0].id
    pipeline.now = Progress(said="train", failed="there are too few rows.")
    assert carrier.carry_out(id).state == "failed"
    assert orders.record(id).reason == "there are too few rows."
    assert not (orders.folder / id / "sources").exists()


def test_a_damaged_record_is_named_and_does_not_stop_other_orders(orders: Orders, carrier: Carrier) -> None:
    id = placed(orders)[0].id
    assert orders.record(id) == Record(at=orders.placed(id).at)
    (orders.folder / id / "record.json").write_text("{")
    with pytest.raises(PantheonError, match=r"record\.json is damaged"):
        orders.record(id)
    other = placed(orders, key="key-2")[0].id
    assert set(orders.unfinished()) == {id, other}
    assert carrier.carry_out(other).state == "running"


def test_a_form_gives_the_same_order_as_json() -> None:
    form = {
        "model.url": "https://git.example.com/model.git", "model.commit": COMMIT, "data.path": "data/Sales 2024.csv",
        "data.url": "https://git.example.com/data.git ", "data.commit": COMMIT[:9], "params.seed": "7", "name": "",
        "params.test_share": "", "key": "k",
    }  # fmt: skip
    assert read_order(order_of(form, "default")) == read_order(body())
    with pytest.raises(PantheonError, match="seed must be a whole number, not 'seven'"):
        read_order(order_of({**form, "params.seed": "seven"}, "default"))


@pytest.mark.parametrize(
    "config",
    [
        "url = /etc",
        "url = ../../secrets",
        "url = ssh://git.example.com/x",
        "url = https://ada:sesame@example.com/x",
        "url = s3://bucket\n    endpointurl = file:///etc",
        "",
    ],
)
def test_a_remote_of_dvc_that_reads_this_machine_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(f"[core]\n    remote = a\n['remote \"a\"']\n    {config}\n")
    with pytest.raises(PantheonError) as error:
        remote_of(tmp_path, tmp_path, "the data repository")
    assert "sesame" not in str(error.value) and "remote" in error.value.cause


def test_only_the_address_of_a_remote_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    remote = a\n[cache]\n    dir = /etc\n['remote \"a\"']\n"
        "    url = s3://bucket/dvc\n    credentialpath = /etc/shadow\n    region = eu\n"
    )
    found = remote_of(tmp_path / "deep" / "er", tmp_path, "the data repository")
    assert found == {"url": "s3://bucket/dvc", "region": "eu"}


@pytest.mark.parametrize("text", ["", "- a", "outs: 7", "outs: []", "outs: [{md5: x}]", "outs: [{md5: a}, {md5: b}]"])
def test_a_file_of_dvc_that_tracks_nothing_single_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv.dvc").write_text(text)
    with pytest.raises(PantheonError, match=r"a\.csv\.dvc of the data repository does not track one file or folder"):
        tracked(tmp_path / "a.csv", tmp_path, "the data repository")


def test_what_dvc_tracks_is_the_file_or_the_nearest_folder_above_it(tmp_path: Path) -> None:
    a, b = "a" * 32, "b" * 32
    (tmp_path / "data").mkdir()
    (tmp_path / "data.dvc").write_text(f"outs: [{{md5: {a}.dir, hash: md5}}]")
    (tmp_path / "data" / "rows.csv.dvc").write_text(f"outs: [{{md5: {b}}}]")
    file = tracked(tmp_path / "data" / "rows.csv", tmp_path, "it")
    assert file and (file.md5, file.rest, file.key) == (b, "", f"bb/{b[2:]}"), "as before DVC 3"
    folder = tracked(tmp_path / "data" / "2024" / "rows.csv", tmp_path, "it")
    assert folder and (folder.rest, folder.key) == ("2024/rows.csv", f"files/md5/aa/{a[2:]}.dir")
    assert tracked(tmp_path / "other" / "rows.csv", tmp_path, "it") is None
    with pytest.raises(PantheonError, match=r"data\.path: data is a folder"):
        tracked(tmp_path / "data", tmp_path, "it")


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, "two", {"c": None, "d": [True]}], "e": {}, "f": "true", "g": "x: y", "h": ""},
        [[1, 2], {"a": {"b": "1.5"}}],
        {"script": "line 1\n  line 2\n", "text": 'it\'s "quoted" # so', "key: odd": -1.5e-7},
        "plain",
        {"time": "2026-01-31T14:25:00Z", "no": "no", "dash": "- a"},
    ],
)
def test_objects_are_written_as_yaml_that_means_the_same(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("score=22.28522252278946", "score=22.2852"),
        ("alpha=2.0173786271782257,depth=8,rate=1.2345678e-07", "alpha=2.01738,depth=8,rate=1.23457e-07"),
        ("run-20261130-170522 v1.2.3 0.5 2026.1234567.8", "run-20261130-170522 v1.2.3 0.5 2026.1234567.8"),
        (3, "3"),
    ],
)
def test_long_numbers_in_tables_are_rounded_and_nothing_else(given: object, shown: str) -> None:
    assert short(given) == shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("known", "data.target: the dataset known predicts 'price', not 'prize'."),
        ("new", "data.target is missing: the deployment has no dataset new."),
    ],
)
def test_a_target_must_be_that_of_the_dataset(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "known.toml").write_text('[target]\ncolumn = "price"\n')
    ordered: Ordered = {
        "id": "0" * 16, "by": "ada", "model_repository": "", "model_commit": "", "data_repository": "",
        "data_commit": "", "data_path": "rows.csv",
    }  # fmt: skip
    asked = Asked(
        run="", name=name, tier="", file="rows.csv", spec="", target="prize" if name == "known" else "", extensions="",
        params={}, order=ordered,
    )  # fmt: skip
    with pytest.raises(PantheonError) as error:
        own_spec(tmp_path, asked, "orders/0.csv")
    assert error.value.cause == said


def test_links_do_not_lead_out_of_a_repository(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "data.csv").symlink_to("/etc/passwd")
    with pytest.raises(PantheonError, match="is not a path in the repository"):
        inside(tmp_path / "repository", "data.csv", "data.path")

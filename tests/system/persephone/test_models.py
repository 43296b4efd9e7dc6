"""``pantheon models`` and ``ask`` against a button that is up; no model is trained for it."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import joblib
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from sklearn.linear_model import LogisticRegression

from pantheon.deployment import model_files, questions
from pantheon.errors import PantheonError
from pantheon.files import scratch
from pantheon.state import set_served
from pantheon.store import FolderStore, open_store, operations
from serving.model.predictor import Predictor
from tests.support import ROOT
from tests.support.bundles import ROBOTS, bundle, model, signature
from tests.support.button import Deployment
from tests.support.button_in_s3 import client_of, into_s3
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.foreign import of_xgboost
from tests.support.waiting import until


@dataclass
class Deployed:
    """Persephone with three versions of robots, the third of them the champion again after each test."""

    pantheon: Pantheon
    store: FolderStore

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 170, **given: str) -> Any:
        return self.pantheon("models", *arguments, check=check, timeout=timeout, **given)

    @property
    def answers(self) -> str:
        with urlopen(f"{self.pantheon.page}/healthz", timeout=5) as answer:
            return str(json.load(answer)["version"])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    made = make_pantheon(tmp_path_factory.mktemp("models"))
    made("up", "persephone", "--no-run")
    store = FolderStore(made.state / "models")
    for number in range(1, 4):
        folder = bundle(tmp_path_factory.mktemp("bundle") / str(number))
        metadata = {"run": f"run-{number}", "chosen": "linear", "metric": {"name": "accuracy", "value": 0.9}}
        store.publish("robots", folder, metadata | {"data": {"name": "robots", "sha256": "ab" * 32}})
    set_served(made.state, "robots")
    yield Deployed(made, store)
    made("down")
    assert_nothing_left(made.home)


@pytest.fixture
def deployed(up: Deployed) -> Deployed:
    for version in ("2", "3"):
        up.store.promote("robots", version, by="test")
    return up


def test_promote_and_rollback_take_effect_before_the_command_ends(deployed: Deployed) -> None:
    said = deployed("promote", "1", "--note", "it was better").err
    assert deployed.answers == "1"
    assert "the champion of robots was version 3" in said
    assert "version 1 of robots is served now" in said
    champion = deployed.store.resolve("robots")
    assert (champion.previous, champion.note) == ("3", "it was better")
    back = deployed("rollback", "--json").json
    assert deployed.answers == "3"
    assert back | {"version": "3", "previous": "1", "alias": "champion", "answers": True} == back
    made = deployed.pantheon.command(["make", "-s", "tier-persephone", "rollback", "VERSION=2"])
    assert deployed.answers == "2", made.err


def test_another_alias_deploys_nothing(deployed: Deployed) -> None:
    said = deployed("promote", "1", "--alias", "challenger", "--json").json
    assert said["answers"] is None
    deployed("promote", "1")
    assert deployed.store.alias("robots", "challenger") is None, "it is the champion now"


def test_what_cannot_be_promoted_is_said_in_a_line(deployed: Deployed) -> None:
    answer = deployed("promote", "9", check=False)
    assert (answer.status, "Existing versions: 1, 2, 3" in answer.message) == (2, True)
    answer = deployed("rollback", "--to", "3", check=False)
    assert "is already the champion" in answer.message
    answer = deployed("list", "--model", "horses", check=False)
    assert answer.status == 2
    assert "Choose another with --model: robots" in answer.message


def test_models_list_shows_versions_aliases_and_metrics(deployed: Deployed) -> None:
    deployed.store.promote("robots", "2", "challenger")
    found = deployed("list", "--json").json
    assert [v["version"] for v in found["versions"]][-3:] == ["3", "2", "1"]
    third = next(v for v in found["versions"] if v["version"] == "3")
    assert third["aliases"] == ["champion"]
    assert (third["run"], third["metric"]["value"]) == ("run-3", 0.9)
    assert third["bytes"] == sum(f["size"] for f in deployed.store.describe("robots", "3").files.values())
    assert found["where"] == str(deployed.pantheon.state / "models")
    text = deployed.pantheon.command(["make", "-s", "tier-persephone", "models"]).out
    (line,) = [line for line in text.splitlines() if "champion" in line]
    assert line.split()[0] == "3"
    assert "robots abababab" in line
    deployed.store.drop("robots", "challenger", expected="2")


def test_show_has_every_files_address(deployed: Deployed) -> None:
    found = deployed("show", "3", "--json").json
    for name, file in found["files"].items():
        assert Path(file["address"]).read_bytes(), name
    assert found["signature"]["name"] == "robots"
    assert found["aliases"]["champion"]["by"] == "test"
    assert str(deployed.pantheon.state / "models" / "robots" / "3" / "model.onnx") in deployed("show", "3").out
    assert deployed.pantheon.command(["make", "-s", "models", "VERSION=3", "JSON=1"]).json == found


def test_a_flipped_byte_is_found_and_nothing_goes_back_to_it(deployed: Deployed) -> None:
    file = deployed.pantheon.state / "models" / "robots" / "2" / "metrics.json"
    good = file.read_bytes()
    assert "all checksums match" in deployed("verify", "2").out
    file.write_bytes(good[:-2] + b"9}")
    try:
        answer = deployed("verify", check=False)
        assert answer.status == 1
        assert str(file) in answer.out
        assert answer.out.count("all checksums match") == len(deployed.store.list("robots")) - 1
        assert deployed("show", "2", "--json").json["trouble"]
        answer = deployed("rollback", check=False)
        assert answer.status == 1
        assert "is damaged" in answer.message
        assert deployed.store.resolve("robots").version == "3"
    finally:
        file.write_bytes(good)


def test_a_champion_that_cannot_be_served_is_reported_with_a_command_that_works(deployed: Deployed) -> None:
    pantheon, file = deployed.pantheon, deployed.pantheon.state / "models" / "robots" / "3" / "model.onnx"
    good = file.read_bytes()
    (button,) = pantheon("status", "--json").json["services"]
    file.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    try:
        before = deployed.store.resolve("robots").previous
        os.kill(json.loads((pantheon.state / "state" / "services.json").read_text())["services"][0]["pid"], 9)
        until(lambda: pantheon("status", "--json", check=False).json["services"][0]["restarts"] > button["restarts"])
        until(lambda: (pantheon("status", "--json", check=False).json["refused"] or {}).get("served", "") is None)
        for verb in ("up", "status"):
            answer = pantheon(verb, check=False)
            assert answer.status == 1, answer.out
            text = " ".join(answer.out.split())
            assert "version 3 cannot be served" in text and str(file.parent) in text and "status 503" in text
            assert f"Serve version {before} again: `bin/pantheon models rollback`" in text
            answer = pantheon(verb, "--json", check=False)
            assert answer.status == 1
            assert (answer.json["refused"]["version"], answer.json["refused"]["served"]) == ("3", None)
        deployed("rollback")
        assert pantheon("up", "--json").json["refused"] is None
        assert deployed.answers == before
    finally:
        file.write_bytes(good)


def test_a_damaged_manifest_hides_no_other_version(deployed: Deployed) -> None:
    file = deployed.pantheon.state / "models" / "robots" / "1" / "manifest.json"
    good = file.read_bytes()
    file.write_text("{")
    try:
        text = deployed("list").out
        assert f"✗ version 1: {file} is damaged" in text
        assert "models gc" in text, "what to do about it"
        assert [line.split()[0] for line in text.splitlines() if "champion" in line and "●" in line] == ["3"]
        answer = deployed("verify", check=False)
        assert answer.status == 1
        assert f"{file} is damaged" in answer.out
        assert answer.out.count("all checksums match") == len(deployed.store.list("robots"))
        assert deployed("verify", "1", check=False).status == 1
        assert deployed("gc", "--dry-run", "--json").json["keep"]["1"] == "its manifest is damaged"
    finally:
        file.write_bytes(good)


def test_a_published_model_is_promoted_and_served(deployed: Deployed, tmp_path: Path) -> None:
    model(tmp_path / "theirs.onnx", len(ROBOTS), classes=2)
    (tmp_path / "signature.json").write_text(json.dumps(signature(ROBOTS)))
    answer = deployed("publish", str(tmp_path / "theirs.onnx"), check=False)
    assert "--signature" in answer.message
    said = deployed(
        "publish", str(tmp_path / "theirs.onnx"), "--signature", str(tmp_path / "signature.json"), "--json"
    ).json
    assert said["alias"] == "challenger"
    assert deployed.answers == "3", "a challenger waits"
    deployed("promote", said["version"])
    assert deployed.answers == said["version"]
    assert list((deployed.pantheon.state / "data").glob(".publish-*")) == []


def test_publish_a_pickle_after_a_warning(deployed: Deployed, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    file = tmp_path / "theirs.joblib"
    joblib.dump(LogisticRegression().fit(X, X[:, 0] > 0), file)
    answer = deployed("publish", str(file), "--model", "theirs", check=False)
    assert answer.status == 2
    assert "runs any code in it" in answer.err.replace("\n", " ")
    assert "--trust" in answer.message
    before = deployed.store.names()
    said = deployed("publish", str(file), "--model", "theirs", "--trust").err
    assert "theirs" not in before
    assert "theirs version 1 is the challenger" in said
    assert deployed.store.describe("theirs", "1").metadata["origin"] == "outside"
    assert list(deployed.pantheon.state.glob(".convert-*")) == []


@pytest.mark.slow
@pytest.mark.timeout(600)  # it may make the environment
def test_publish_a_model_of_xgboost(deployed: Deployed, tmp_path: Path) -> None:
    file = of_xgboost(tmp_path / "theirs.json")
    said = deployed("publish", str(file), "--model", "trees", "--json", timeout=500).json
    assert said["checked"].endswith("ONNX and XGBoost agree")
    served = Predictor(deployed.store.get("trees", "1"), "trees", "1")
    assert served.predict([{"x1": 0.0, "x2": 1.0}, {"x1": 38.0, "x2": None}]).prediction == [0, 1]


def test_what_does_not_fit_is_not_published(deployed: Deployed, tmp_path: Path) -> None:
    count = len(deployed.store.list("robots"))
    bundle(tmp_path / "bundle", ROBOTS[:2])
    (tmp_path / "bundle" / "signature.json").write_text(json.dumps(signature(ROBOTS)))
    answer = deployed("publish", str(tmp_path / "bundle"), check=False)
    assert "its signature has 3 inputs" in answer.message
    for bad in (tmp_path / "nothing.onnx", tmp_path / "bundle" / "card.md", tmp_path):
        with pytest.raises(PantheonError):
            model_files.chosen(str(bad), "")
    assert len(deployed.store.list("robots")) == count
    assert list((deployed.pantheon.state / "data").glob(".publish-*")) == []


def test_checkout_needs_a_version_of_dvc(deployed: Deployed) -> None:
    answer = deployed("checkout", "3", check=False)
    assert answer.status in (1, 2)
    assert "DVC" in answer.message


def test_ask_prints_what_the_button_knows(deployed: Deployed) -> None:
    said = deployed.pantheon("ask", "--json").json
    assert [q["state"] for q in said["questions"]] == ["answered"] * 2 + ["cannot"] * 6
    assert said["questions"][1]["facts"]["version"] == deployed.answers
    text = deployed.pantheon.command(["make", "-s", "tier-persephone", "ask", "AT=10 minutes ago"]).out
    assert "4. Can I have that training data, code and parameters back?" in text
    assert "The first tier that can is odysseus, which adds DVC." in text
    assert "from the signature of the served model: models/robots/" in text
    at = deployed.pantheon("ask", "--json", "--at", "2026-01-02T03:04:05+00:00").json["at"]
    assert at == "2026-01-02T03:04:05+00:00"


def test_with_the_button_down(deployed: Deployed) -> None:
    deployed.pantheon("down")
    try:
        answer = deployed.pantheon("ask", check=False)
        assert "make tier-persephone up" in answer.message
        said = deployed("promote", "1", "--json")
        assert said.json["answers"] is False
        assert "the button is down" in said.err
    finally:
        deployed.pantheon("up", "persephone", "--no-run")
    assert deployed.answers == "1"


# Without a deployment


def test_times_that_people_type() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert questions.time("10 minutes ago", now) == now - timedelta(minutes=10)
    assert questions.time("1 Hour", now) == now - timedelta(hours=1)
    assert questions.time("2026-11-22T10:00", now) == datetime(2026, 11, 22, 10).astimezone()
    assert questions.time("2026-11-22T10:00+02:00", now) == datetime(2026, 11, 22, 8, tzinfo=UTC)
    for bad in ("soon", "10 fortnights ago", "2026-13-01"):
        with pytest.raises(PantheonError, match="is not a valid time"):
            questions.time(bad, now)


@pytest.fixture
def many(tmp_path: Path) -> FolderStore:
    """Twelve versions; the champion is 2, and was 1 before."""
    store = FolderStore(tmp_path / "models")
    bundle(tmp_path / "bundle")
    shutil.rmtree(tmp_path / "bundle" / "plots")
    for _ in range(12):
        store.publish("robots", tmp_path / "bundle", {})
    store.promote("robots", "1")
    store.promote("robots", "2")
    store.promote("robots", "4", "challenger")
    return store


def test_gc_keeps_what_is_named_or_needed(many: FolderStore, tmp_path: Path) -> None:
    plan = operations.plan(many, "robots", 5, "")
    assert [each["version"] for each in plan["remove"]] == ["3", "5", "6", "7"]
    assert plan["keep"]["1"] == "the previous champion, for a rollback"
    assert (plan["keep"]["2"], plan["keep"]["4"]) == ("champion", "challenger")
    assert operations.plan(many, "robots", 5, "1h")["remove"] == []
    many.promote("robots", "5", "challenger")  # since it was looked at
    (tmp_path / "data").mkdir()
    with scratch(tmp_path / "data", operations.UNPACKED) as living:
        (tmp_path / "data" / ".publish-killed").mkdir(parents=True)
        done = operations.remove(tmp_path, many, plan)
        assert living.is_dir()
    assert done["removed"] == ["3", "6", "7"]
    assert "5" in done["refused"]
    assert done["swept"] == ["data/.publish-killed"]
    assert many.rollback("robots").version == "1"
    assert many.publish("robots", tmp_path / "bundle", {}) == "13"
    with pytest.raises(PantheonError, match="is not a valid age"):
        operations.age("soon")


def test_a_damaged_version_is_listed_verified_and_left_by_gc(many: FolderStore, tmp_path: Path) -> None:
    for version in ("2", "3", "12"):  # the champion, one that would go, and the newest
        (many.root / "robots" / version / "manifest.json").write_text("{")
    found = operations.listed(many, "robots")
    assert [v["version"] for v in found["versions"]] == ["11", "10", "9", "8", "7", "6", "5", "4", "1"]
    assert [(d["version"], d["aliases"]) for d in found["damaged"]] == [("12", []), ("3", []), ("2", ["champion"])]
    assert str(many.root / "robots" / "12" / "manifest.json") in found["damaged"][0]["why"]
    checked = operations.verified(many, "robots", "all")["versions"]
    assert [v["version"] for v in checked] == [str(number) for number in range(1, 13)]
    assert [v["version"] for v in checked if v["problems"]] == ["2", "3", "12"]
    plan = operations.plan(many, "robots", 2, "")
    assert [each["version"] for each in plan["remove"]] == ["5", "6", "7", "8", "9"]
    assert operations.remove(tmp_path, many, plan)["removed"] == ["5", "6", "7", "8", "9"]
    assert list(many.damaged("robots")) == ["2", "3", "12"]


def test_gc_deletes_nothing_while_the_champion_is_unknown(many: FolderStore) -> None:
    file = many.root / "robots" / "aliases" / "champion.json"
    file.write_text(json.dumps(many.resolve("robots").as_dict() | {"version": 2}))
    with pytest.raises(PantheonError, match=r"champion\.json is damaged: its version is 2, not a number in quotes"):
        operations.plan(many, "robots", 5, "")
    with pytest.raises(PantheonError, match=r"champion\.json is damaged"):
        many.remove("robots", "2")
    assert len(many.list("robots")) == 12


def test_the_same_words_where_models_lie_in_s3(many: FolderStore, tmp_path: Path) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        deployment = Deployment(tmp_path / "deployment")
        shutil.copytree(many.root, deployment.folder / "models", dirs_exist_ok=True)
        endpoint = "http://127.0.0.1:{1}".format(*server.get_host_and_port())
        into_s3(deployment, endpoint)
        store = open_store(deployment.folder, host=True)
        found = operations.listed(store, "robots")
        assert found["where"] == "s3://pantheon/models"
        assert {v["version"]: v["aliases"] for v in found["versions"]}["2"] == ["champion"]
        files = operations.described(store, "robots", "2")["files"]
        for name, file in files.items():
            key = file["address"].removeprefix("s3://pantheon/")
            assert client_of(endpoint).head_object(Bucket="pantheon", Key=key)["ContentLength"] == file["size"], name
        client_of(endpoint).put_object(Bucket="pantheon", Key="models/robots/3/card.md", Body=b"other")
        (damaged,) = operations.verified(store, "robots", "3")["versions"]
        assert len(damaged["problems"]) == 1
        assert "s3://pantheon/models/robots/3/card.md" in damaged["problems"][0]
        plan = operations.plan(store, "robots", 9, "")
        assert operations.remove(deployment.folder, store, plan)["removed"] == ["3"]
        assert "3" not in [v["version"] for v in operations.listed(store, "robots")["versions"]]
    finally:
        server.stop()


def test_gc_asks_before_it_deletes(deployed: Deployed) -> None:
    answer = deployed("gc", "--keep", "1", check=False)
    assert answer.status == 2
    assert answer.message.endswith("`bin/pantheon models gc --keep 1 --confirm yes`"), "as it was asked"
    before = [v.version for v in deployed.store.list("robots")]
    gone = deployed("gc", "--keep", "1", "--dry-run", "--json").json["remove"]
    assert [v.version for v in deployed.store.list("robots")] == before
    found = deployed("gc", "--keep", "1", "--json", "--confirm", "yes").json
    assert found["removed"] == [each["version"] for each in gone]
    assert {v.version for v in deployed.store.list("robots")} >= {"2", "3"}
    assert "no version to remove" in deployed("gc").err


def test_every_verb_has_help() -> None:
    said = Pantheon(ROOT, 0)("models", "--help").out
    for verb in ("list", "show", "publish", "promote", "rollback", "verify", "gc", "checkout"):
        assert f"  {verb} " in said

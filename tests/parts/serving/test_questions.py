"""Questions about an architecture, over HTTP, with models in a folder and in S3."""

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from moto.server import ThreadedMotoServer

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from serving.questions import reader
from serving.questions import recorded as recorded_
from serving.state import State
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment, serving
from tests.support.button_in_s3 import COMMIT, DATA, LINEAGE, MD5, RECORD, TAG, asked, at_tier, client_of, into_s3, made


def test_with_a_folder_two_questions_are_answered_and_the_others_name_a_tier(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(made(tmp_path / "one"))
    with serving(deployment) as (_, client):
        said = asked(client)
    assert [each["state"] for each in said.values()] == ["answered"] * 2 + ["cannot"] * 6
    assert "3 inputs per row: robot-age" in said["dimensions"]["answer"]
    assert "one of 2 classes (Bad Condition, Good Condition)" in said["dimensions"]["answer"]
    assert said["dimensions"]["facts"]["input_shape"] == ["rows", 3]
    assert said["dimensions"]["source"].endswith("models/robots/1/signature.json")
    assert "ab" * 32 in said["serving"]["answer"]
    assert said["serving"]["facts"]["data"] == LINEAGE["data"]
    assert said["serving"]["facts"]["released"] == deployment.store.resolve("robots").since
    firsts = [each["first"]["tier"] for each in said.values()]
    assert firsts[2:] == ["nemesis", "odysseus", "epimetheus", "epimetheus", "hephaestus", "kraken"]
    for each in list(said.values())[2:]:
        assert each["answer"] == (
            f"This tier cannot answer this. The first tier that can is {each['first']['tier']}, "
            f"which adds {each['first']['adds']}."
        )
        assert each["source"] == ""


def test_without_a_model_it_says_so(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        said = asked(client)
        assert said["dimensions"]["state"] == said["serving"]["state"] == "unanswered"
        assert "bin/pantheon run" in said["serving"]["answer"]
        assert "No model is deployed yet" in client.get("/").text


def test_a_number_has_a_unit(hours: Client) -> None:
    said = asked(hours)["dimensions"]
    assert said["answer"].endswith("Output: hours, a number in h.")
    assert said["facts"]["output_shape"] == ["rows"]


def test_an_upgrade_and_a_rollback(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    """Two versions in a folder, moved to S3; a third there; back to the second: every answer follows at once."""
    for number in ("one", "two"):
        deployment.publish(made(tmp_path / number))
    with serving(deployment) as (button, client):
        assert asked(client)["served_at"]["state"] == "cannot"
        into_s3(deployment, s3)
        at_tier(deployment, "nemesis", models="s3")
        said = asked(client)
        moved = deployment.store.resolve("robots")
        assert said["served_at"]["facts"] == {
            "model": "robots", "version": "2", "from": moved.since, "until": None, "by": "test",
        }  # fmt: skip
        assert said["serving"]["source"].startswith("s3://pantheon/models/robots/aliases/champion.json")
        before_the_history = (datetime.fromisoformat(moved.since) - timedelta(seconds=1)).isoformat()
        assert asked(client, before_the_history)["served_at"]["state"] == "unanswered"
        assert "before it version 1, with an unrecorded start" in said["served_at"]["answer"]

        deployment.publish(made(tmp_path / "three"))
        button.champion.refresh()
        third = deployment.store.resolve("robots")
        said = asked(client)
        assert said["serving"]["facts"]["version"] == "3"
        assert said["served_at"]["facts"]["version"] == "2", "by default, when the version before this one served"
        assert said["served_at"]["facts"]["until"] == third.since

        deployment.store.rollback("robots", by="test")
        button.champion.refresh()
        back = deployment.store.resolve("robots")
        said = asked(client)
        assert said["serving"]["facts"] | {"version": "2", "released": back.since} == said["serving"]["facts"]
        assert said["served_at"]["facts"] == {
            "model": "robots", "version": "3", "from": third.since, "until": back.since, "by": "test",
        }  # fmt: skip
        assert asked(client, moved.since)["served_at"]["facts"]["version"] == "2"
        assert asked(client, third.since)["served_at"]["facts"]["version"] == "3"
        assert asked(client, datetime.now(UTC).isoformat())["served_at"]["facts"]["version"] == "2"
        assert said["served_at"]["source"] == "the object versions of s3://pantheon/models/robots/aliases/champion.json"


def test_before_the_first_release_none_served(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    with serving(deployment) as (_, client):
        assert asked(client)["served_at"]["state"] == "unanswered"
        deployment.publish(made(tmp_path / "one"))
        assert "no earlier version served" in asked(client)["served_at"]["answer"]
        said = asked(client, "2020-01-01T00:00:00Z")["served_at"]
        assert (said["state"], said["facts"]["version"]) == ("answered", None)
        later = asked(client, "2999-01-01T00:00:00Z")["served_at"]
        assert later["state"] == "unanswered"
        assert "is in the future" in later["answer"]


def test_without_s3_the_available_facts_are_reported(deployment: Deployment, tmp_path: Path) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    endpoint = "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    into_s3(deployment, endpoint)
    deployment.publish(made(tmp_path / "one", RECORD))
    at_tier(deployment, "odysseus", models="s3", data="dvc")
    with serving(deployment) as (_, client):
        server.stop()
        said = asked(client)
        assert said["dimensions"]["state"] == "answered"
        assert said["serving"]["answer"].startswith("Version 1 of robots is serving, but the store cannot be read")
        for name in ("serving", "served_at", "restore"):
            assert said[name]["state"] == "unanswered", said[name]
            assert endpoint in said[name]["answer"]
        assert client.predict({"robot-age": 5}).status == 200
        assert endpoint in client.get("/").text


@pytest.fixture
def recorded(deployment: Deployment, tmp_path: Path, s3: str) -> Deployment:
    """A version whose run is in git and DVC."""
    into_s3(deployment, s3)
    at_tier(deployment, "odysseus", models="s3", data="dvc")
    deployment.publish(made(tmp_path / "one", RECORD))
    tag = deployment.folder / "repositories" / "main.git" / "refs" / "tags" / TAG
    tag.parent.mkdir(parents=True)
    tag.write_text(f"{COMMIT}\n")
    client_of(s3).put_object(Bucket="pantheon", Key=f"dvc/files/md5/{MD5[:2]}/{MD5[2:]}", Body=DATA)
    return deployment


def test_data_code_and_parameters_are_checked(recorded: Deployment, s3: str) -> None:
    with serving(recorded) as (_, client):
        said = asked(client)["restore"]
        assert (said["state"], said["facts"]["can"]) == ("answered", True)
        assert COMMIT[:12] in said["answer"] and MD5 in said["answer"]
        assert "bin/pantheon models checkout 1" in said["answer"]
        key = f"dvc/files/md5/{MD5[:2]}/{MD5[2:]}"
        assert said["source"] == f"git tag {TAG} in repositories/main.git, s3://pantheon/{key}"

        git = recorded.folder / "repositories" / "main.git"
        (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/tags/{TAG}\n")
        shutil.rmtree(git / "refs")
        assert asked(client)["restore"]["facts"]["can"], "git packs its tags"

        client_of(s3).delete_object(Bucket="pantheon", Key=key)
        said = asked(client)["restore"]
        assert (said["state"], said["facts"]["can"]) == ("answered", False)
        assert f"s3://pantheon/{key} is missing" in said["answer"]
        (git / "packed-refs").write_text(f"{'f' * 40} refs/tags/{TAG}\n")
        assert "names commit ffffffffffff" in asked(client)["restore"]["answer"]
        (git / "packed-refs").unlink()
        assert f"has no tag {TAG}" in asked(client)["restore"]["answer"]


def test_data_that_is_a_folder(recorded: Deployment, tmp_path: Path, s3: str) -> None:
    files = {hashlib.md5(text).hexdigest(): text for text in (b"a", b"b", b"c")}
    listing = json.dumps([{"md5": md5, "relpath": f"{i}.parquet"} for i, md5 in enumerate(files)]).encode()
    whole = hashlib.md5(listing).hexdigest()
    objects = client_of(s3)
    for md5, body in {**files, f"{whole}.dir": listing}.items():
        objects.put_object(Bucket="pantheon", Key=f"dvc/files/md5/{md5[:2]}/{md5[2:]}", Body=body)
    record = RECORD | {"data": {"path": "data", "md5": f"{whole}.dir"}}
    recorded.publish(made(tmp_path / "two", record))
    with serving(recorded) as (_, client):
        assert "(3 files, MD5" in asked(client)["restore"]["answer"]
        gone = next(iter(files))
        objects.delete_object(Bucket="pantheon", Key=f"dvc/files/md5/{gone[:2]}/{gone[2:]}")
        assert f"1 of 3 files of the data are missing, such as {gone}" in asked(client)["restore"]["answer"]


@pytest.mark.parametrize(
    "change",
    [
        {"tag": "run/../../../../etc"},
        {"commit": "HEAD"},
        {"remote": "file:///tmp"},
        {"data": {"md5": "../x"}},
        {"data": 3},
    ],
)
def test_a_malformed_record_is_rejected(deployment: Deployment, change: dict[str, Any]) -> None:
    with pytest.raises(PantheonError, match="malformed"):
        recorded_.check(State(deployment.folder), RECORD | change)


def test_a_model_of_an_earlier_tier_is_not_in_dvc(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    deployment.publish(made(tmp_path / "one"))
    with serving(deployment) as (_, client):
        at_tier(deployment, "nemesis", models="s3", data="")
        assert asked(client)["restore"]["state"] == "cannot"
        at_tier(deployment, "odysseus", models="s3", data="dvc")
        said = asked(client)["restore"]
        assert (said["state"], said["facts"]["can"]) == ("answered", False)
        assert said["answer"].startswith("No: version 1 was made before this deployment had DVC")
        assert said["source"] == "s3://pantheon/models/robots/1/lineage.json"
        at_tier(deployment, "odysseus", models="s3", data="")
        assert asked(client)["restore"]["answer"].startswith("This deployment cannot answer this: it runs without")


def test_a_champion_that_cannot_be_served_is_distinguished_from_the_serving_version(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(made(tmp_path / "one"))
    with serving(deployment) as (button, client):
        broken = made(tmp_path / "two")
        (broken / "model.onnx").write_bytes(b"no model")
        deployment.publish(broken)
        button.champion.refresh()
        said = asked(client)["serving"]
    assert said["facts"]["version"] == "1"
    assert "although version 2 has been the champion since" in said["answer"]


def test_a_model_built_elsewhere_names_no_training_data(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (button, client):
        assert "built elsewhere; its training data is not recorded" in asked(client)["serving"]["answer"]
        theirs = made(tmp_path / "three")
        (theirs / "lineage.json").write_text(json.dumps(LINEAGE | {"origin": "outside"}))
        deployment.publish(theirs)
        button.champion.refresh()
        assert "built elsewhere; according to its metadata trained on robots" in asked(client)["serving"]["answer"]


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-22T10:00:00Z" * 9, "12", "\x00"])
def test_an_invalid_time_is_rejected(robots: Client, at: str) -> None:
    answer = robots.get(f"/questions?at={quote(at)}")
    assert answer.status == 400
    assert answer.error["field"] == "at"
    assert "2026-11-22T10:00:00Z" in answer.error["message"]


@pytest.mark.parametrize(
    "at", ["2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z", "2026-11-22T08:00", "2026-11-22 08:00"]
)
def test_times_are_utc_unless_they_have_an_offset(robots: Client, at: str) -> None:
    for written in (quote(at), at.replace(" ", "T")):  # a plus sign in a query is a blank
        assert robots.get(f"/questions?at={written}").json["at"] == "2026-11-22T08:00:00+00:00"


def test_other_methods_are_rejected(robots: Client) -> None:
    answer = robots.post("/questions", {})
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_hanging_store_is_only_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An immediate second request does not reach the store; a later one does."""
    clock, asked_for = [0.0], [0]
    monkeypatch.setattr(reader, "monotonic", lambda: clock[0])

    def hang() -> None:
        asked_for[0] += 1
        clock[0] += 6
        raise PantheonError("the S3 store does not answer.")

    careful = reader.Reader(FolderStore(Path("models")))
    for _ in range(3):
        with pytest.raises(PantheonError, match="does not answer"):
            careful.ask(hang)
    assert asked_for == [1]
    clock[0] += reader.PAUSE_SECONDS
    assert careful.ask(lambda: 3) == 3

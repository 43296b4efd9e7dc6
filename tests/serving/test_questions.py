"""The questions that an architecture is asked: over HTTP and on the page, with models in a folder and in S3."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from moto.server import ThreadedMotoServer

from pantheon.errors import PantheonError
from pantheon.store import FolderStore, open_store
from pantheon.workflow.run import write_json
from serving import reader
from tests.serving.bundles import bundle
from tests.serving.service import Client, Deployment, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAG = "run/20261122-100000-0a1b"
DATA = b"robot-age,rust-level\n"
MD5 = hashlib.md5(DATA).hexdigest()
RECORD = {
    "commit": COMMIT,
    "tag": TAG,
    "remote": "s3://pantheon/dvc",
    "data": {"path": "data/train.parquet", "md5": MD5},
}
LINEAGE = {"run": TAG[4:], "data": {"name": "robots", "sha256": "ab" * 32, "rows": 5000}}


def asked(client: Client, at: str = "") -> dict[str, dict[str, Any]]:
    answer = client.get(f"/questions?at={quote(at)}" if at else "/questions")
    assert answer.status == 200, answer.text
    return {each["id"]: each for each in answer.json["questions"]}


def made(folder: Path, record: dict[str, Any] | None = None, **more: Any) -> Path:
    """A bundle whose lineage names its data, and the commit where ``record`` is given."""
    bundle(folder, **more)
    (folder / "lineage.json").write_text(json.dumps(LINEAGE | ({"version_control": record} if record else {})))
    return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    server.stop()


def client_of(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )


def into_s3(deployment: Deployment, endpoint: str) -> None:
    """As an upgrade does: every version and alias to S3, then the deployment points there."""
    objects = client_of(endpoint)
    for bucket in objects.list_buckets()["Buckets"]:  # of an earlier test
        for each in objects.list_object_versions(Bucket=bucket["Name"]).get("Versions", []):
            objects.delete_object(Bucket=bucket["Name"], Key=each["Key"], VersionId=each["VersionId"])
    objects.create_bucket(Bucket="pantheon")
    objects.put_bucket_versioning(Bucket="pantheon", VersioningConfiguration={"Status": "Enabled"})
    keys = deployment.folder / "secrets" / "s3" / "credentials"
    keys.parent.mkdir(parents=True)
    keys.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    where = {"kind": "s3", "bucket": "pantheon", "endpoint": endpoint, "host_endpoint": endpoint, "region": "us-east-1"}
    old = FolderStore(deployment.folder / "models")
    deployment.store = open_store(deployment.folder, patience=0)  # type: ignore[assignment]
    listed = old.list("robots")
    write_json(deployment.folder / "state" / "store.json", where)
    for version in listed:
        deployment.store.take(version, old.get("robots", version.version))
    if alias := old.alias("robots"):
        deployment.store.take_alias("robots", "champion", alias)


def at_tier(deployment: Deployment, tier: str, **route: str) -> None:
    write_json(
        deployment.folder / "state" / "deployment.json", {"tier": tier, "dataset": deployment.model, "route": route}
    )


def test_a_folder_answers_the_first_two_and_says_who_can_the_others(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(made(tmp_path / "one"))
    with serving(deployment) as (_, client):
        said = asked(client)
    assert [each["state"] for each in said.values()] == ["answered"] * 2 + ["cannot"] * 6
    assert "3 inputs a row: robot-age" in said["dimensions"]["answer"]
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
            f"This tier cannot know. The first that can is {each['first']['tier']}, which adds {each['first']['adds']}."
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

        deployment.publish(made(tmp_path / "three"))
        button.champion.look()
        third = deployment.store.resolve("robots")
        said = asked(client)
        assert said["serving"]["facts"]["version"] == "3"
        assert said["served_at"]["facts"]["version"] == "2", "by default, when the version before this one served"
        assert said["served_at"]["facts"]["until"] == third.since

        deployment.store.rollback("robots", by="test")
        button.champion.look()
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
        said = asked(client, "2020-01-01T00:00:00Z")["served_at"]
        assert (said["state"], said["facts"]["version"]) == ("answered", None)
        later = asked(client, "2999-01-01T00:00:00Z")["served_at"]
        assert later["state"] == "unanswered"
        assert "yet to come" in later["answer"]


def test_when_s3_is_away_what_is_known_is_said_plainly(deployment: Deployment, tmp_path: Path) -> None:
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
        assert said["serving"]["answer"].startswith("Version 1 of robots answers, but the store cannot be asked")
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
    tag = deployment.folder / "repositories" / "main" / ".git" / "refs" / "tags" / TAG
    tag.parent.mkdir(parents=True)
    tag.write_text(f"{COMMIT}\n")
    client_of(s3).put_object(Bucket="pantheon", Key=f"dvc/files/md5/{MD5[:2]}/{MD5[2:]}", Body=DATA)
    return deployment


def test_data_code_and_parameters_are_looked_for(recorded: Deployment, s3: str) -> None:
    with serving(recorded) as (_, client):
        said = asked(client)["restore"]
        assert (said["state"], said["facts"]["can"]) == ("answered", True)
        assert COMMIT[:12] in said["answer"] and MD5 in said["answer"]
        assert "bin/pantheon models checkout 1" in said["answer"]
        key = f"dvc/files/md5/{MD5[:2]}/{MD5[2:]}"
        assert said["source"] == f"git tag {TAG} in repositories/main, s3://pantheon/{key}"

        git = recorded.folder / "repositories" / "main" / ".git"
        (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/tags/{TAG}\n")
        shutil.rmtree(git / "refs")
        assert asked(client)["restore"]["facts"]["can"], "git packs its tags"

        client_of(s3).delete_object(Bucket="pantheon", Key=key)
        said = asked(client)["restore"]
        assert (said["state"], said["facts"]["can"]) == ("answered", False)
        assert f"s3://pantheon/{key} is gone" in said["answer"]
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
        assert f"1 of 3 files of the data are gone, such as {gone}" in asked(client)["restore"]["answer"]


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
def test_a_record_that_is_none_is_not_followed(recorded: Deployment, tmp_path: Path, change: dict[str, Any]) -> None:
    recorded.publish(made(tmp_path / "two", RECORD | change))
    with serving(recorded) as (_, client):
        said = asked(client)["restore"]
    assert said["state"] == "unanswered"
    assert "malformed" in said["answer"]


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
        assert asked(client)["restore"]["answer"].startswith("This deployment cannot know: it was brought up without")


def test_a_champion_that_cannot_be_served_is_told_from_the_one_that_answers(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.publish(made(tmp_path / "one"))
    with serving(deployment) as (button, client):
        broken = made(tmp_path / "two")
        (broken / "model.onnx").write_bytes(b"no model")
        deployment.publish(broken)
        button.champion.look()
        said = asked(client)["serving"]
    assert said["facts"]["version"] == "1"
    assert "although version 2 is the champion since" in said["answer"]


def test_a_model_built_elsewhere_names_no_data_of_ours(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "one"))
    with serving(deployment) as (button, client):
        assert "built elsewhere: on what data, nobody recorded" in asked(client)["serving"]["answer"]
        theirs = made(tmp_path / "three")
        (theirs / "lineage.json").write_text(json.dumps(LINEAGE | {"origin": "outside"}))
        deployment.publish(theirs)
        button.champion.look()
        assert "built elsewhere, by its own account trained on robots" in asked(client)["serving"]["answer"]


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-22T10:00:00Z" * 9, "12", "\x00"])
def test_a_time_that_is_none_is_refused(robots: Client, at: str) -> None:
    answer = robots.get(f"/questions?at={quote(at)}")
    assert answer.status == 400
    assert answer.error["field"] == "at"
    assert "2026-11-22T10:00:00Z" in answer.error["message"]


@pytest.mark.parametrize(
    "at", ["2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z", "2026-11-22T08:00", "2026-11-22 08:00"]
)
def test_times_are_utc_or_as_their_offset_says(robots: Client, at: str) -> None:
    for written in (quote(at), at.replace(" ", "T")):  # a plus sign in a query is a blank
        assert robots.get(f"/questions?at={written}").json["at"] == "2026-11-22T08:00:00+00:00"


def test_other_methods_are_refused(robots: Client) -> None:
    answer = robots.post("/questions", {})
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_page_has_them_without_a_script(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    at_tier(deployment, "nemesis", models="s3")
    for number in ("one", "two"):
        deployment.publish(made(tmp_path / number))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert page.count('<li class="answered">') == 3
        assert page.count('<li class="cannot">') == 5
        assert "What this tier can answer" in page
        assert '<form class="moment" method="get" action="/#questions">' in page
        first = deployment.store.history("robots")[-1].since[:19]  # type: ignore[index]
        when = datetime.fromisoformat(first) + timedelta(seconds=1)
        now = client.get(f"/?at={quote(f'{when:%Y-%m-%dT%H:%M:%S}')}").text
        assert f'value="{when:%Y-%m-%dT%H:%M:%S}"' in now
        assert "is no time" in text_of(client.get("/?at=soon").text)
        seen = re.search(r"/parts/questions\?seen=([0-9a-f]+)", page)
        assert seen
        assert client.get(f"/parts/questions?seen={seen[1]}").status == 204
        assert client.get("/parts/questions?seen=x").text.lstrip().startswith('<section id="questions"')


def test_serve_this_one_goes_back_in_one_press(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    for number in ("one", "two", "three"):
        deployment.publish(made(tmp_path / number))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert re.findall(r'aria-label="Serve version (\d+)"', page) == ["2", "1"], "the champion has no such button"
        assert "They lie in" in page
        assert "<code>s3://pantheon/models/robots</code>" in page
        form = urlencode({"model": "robots", "version": "1", "champion": "3"})
        answer = client.form("/rollback", form)
        assert "Version 1 is the champion again and answers now." in answer.text
        assert client.predict({"robot-age": 5}).headers["x-model-version"] == "1"
        record = deployment.store.resolve("robots")
        assert (record.previous, record.by, record.note) == ("3", "page", "back from version 3")
        late = client.form("/rollback", urlencode({"model": "robots", "version": "2", "champion": "3"}))
        assert "somebody was faster" in late.text
        assert deployment.store.resolve("robots").version == "1"
        said = asked(client)
        assert said["serving"]["facts"]["version"] == "1"
        assert said["served_at"]["facts"]["version"] == "3"


def test_a_damaged_version_is_not_gone_back_to(deployment: Deployment, tmp_path: Path) -> None:
    for number in ("one", "two"):
        deployment.publish(made(tmp_path / number))
    with (deployment.folder / "models" / "robots" / "1" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with serving(deployment) as (_, client):
        answer = client.form("/rollback", urlencode({"model": "robots", "version": "1", "champion": "2"}))
        assert "version 1 is damaged" in answer.text
        assert deployment.store.resolve("robots").version == "2"


def test_the_picture_is_the_tiers_or_the_variants(deployment: Deployment, tmp_path: Path) -> None:
    write = deployment.folder / "state" / "deployment.json"
    with serving(deployment) as (_, client):
        for tier, variant, node in (
            ("nemesis", "", "quick_preprocessing"),
            ("odysseus", "", "Data Version Control"),
            ("odysseus", "pycaret", "Pycaret"),
        ):
            write_json(write, {"tier": tier, "dataset": "robots", "variant": variant})
            page = client.get("/").text
            assert f'data-node="{node}"' in page or f'data-box="{node}"' in page, (tier, variant)
            assert ("variant pycaret" in page) is bool(variant)


def test_a_store_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again at once, it is not asked; after a while it is."""
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
    clock[0] += reader.PAUSE
    assert careful.ask(lambda: 3) == 3

"""The deployment's files: typed, migrated, with a last good copy; errors name damaged files and a remedy."""

import json
import os
import time
from pathlib import Path

import pytest

from pantheon import __version__, migration
from pantheon import state as deployment
from pantheon.errors import PantheonError
from pantheon.state import VERSION, OtherS3, Outcome, Route, Settings, StoreLocation

DAMAGE: dict[str, bytes | None] = {
    "empty": b"",
    "truncated": b'{"tier": "zeus", "rou',
    "zeroed": b"\0" * 300,
    "not JSON": b"tier = zeus",
    "not an object": b"[1]",
    "wrong type": b'{"tier": 4}',
    "wrong route": b'{"route": "airflow"}',
    "not UTF-8": b'{"tier": "\xff\xfe"}',
    "nested for ever": b"[" * 200_000,
    "a folder": None,
}
SETTINGS = Settings(
    name="d1",
    tier="zeus",
    engine="compose",
    trials=3,
    without=["airflow"],
    route=Route("airflow", "jupyter"),
    s3=OtherS3("http://s3.example.org", "b", "eu-west-1"),
)


def damage(path: Path, content: bytes | None) -> None:
    """Replace a file by a damaged one; None: by an empty folder."""
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "d1"
    folder.mkdir()
    (folder / "state").mkdir()
    return folder


def old_layout(state: Path, **more: object) -> dict[str, object]:
    """The layout of the previous release: without a version, in a folder that services could write to."""
    written: dict[str, object] = {
        **{"name": "d1", "tier": "nemesis", "engine": "compose", "port_offset": 100, "dataset": "wine"},
        **{"approval": "required", "trials": 2, "seed": None, "without": ["airflow"]},
        **{"route": {"etl": "dataflow", "rest": "jupyter", "models": "s3", "data": ""}},
        **{"schedule": "", "variant": "", "s3": {}, "extra": {}},
        **more,
    }
    (state / "state" / "deployment.json").write_text(json.dumps(written))
    (state / "state" / "serving.json").write_text('{"model": "wine"}')
    (state / "state" / ".store.lock").touch()
    return written


def test_written_settings_can_be_read(state: Path) -> None:
    assert deployment.read_settings(state) is None
    assert not deployment.exists(state)
    deployment.write_settings(state, SETTINGS)
    assert deployment.exists(state)
    assert deployment.read_settings(state) == deployment.published(state) == SETTINGS


def test_settings_are_private_and_services_read_a_copy(state: Path) -> None:
    deployment.write_settings(state, SETTINGS)
    assert deployment.settings_file(state).parent == state, "in no folder that is mounted into a service"
    assert deployment.settings_file(state).stat().st_mode & 0o777 == 0o600
    assert deployment.published_file(state).parent == state / "state"


def test_changes_of_a_service_to_its_copy_are_ignored(state: Path) -> None:
    deployment.write_settings(state, SETTINGS)
    deployment.published_file(state).write_text('{"tier": "persephone", "engine": "local"}')
    assert deployment.read_settings(state) == SETTINGS
    deployment.write_settings(state, SETTINGS)
    assert deployment.published(state) == SETTINGS, "the copy is published anew"


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_damaged_settings_are_read_from_their_last_good_copy(state: Path, content: bytes | None) -> None:
    deployment.write_settings(state, SETTINGS)
    damage(deployment.settings_file(state), content)
    assert deployment.read_settings(state) == SETTINGS
    assert deployment.damage(state).startswith(f"{deployment.settings_file(state)} is damaged: ")
    deployment.write_settings(state, SETTINGS)
    assert json.loads(deployment.settings_file(state).read_text())["tier"] == "zeus", "mended by the next command"
    assert deployment.damage(state) == ""


def test_removed_settings_are_read_from_their_last_good_copy(state: Path) -> None:
    deployment.write_settings(state, SETTINGS)
    deployment.settings_file(state).unlink()
    assert deployment.read_settings(state) == SETTINGS


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_settings_with_a_damaged_copy_are_named_with_a_remedy(state: Path, content: bytes | None) -> None:
    deployment.write_settings(state, SETTINGS)
    for file in ("settings.json", "settings.json.bak"):
        damage(state / file, content)
    with pytest.raises(PantheonError, match=r"settings\.json is damaged: ") as error:
        deployment.read_settings(state)
    assert "backup" in error.value.cure
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_settings_of_a_newer_pantheon_are_not_changed(state: Path) -> None:
    for file in ("settings.json", "settings.json.bak"):
        (state / file).write_text('{"version": 99, "tier": {"new": "form"}, "pantheon": "7.0.0"}')
    with pytest.raises(PantheonError, match=r"written by a newer Pantheon 7\.0\.0; this is ") as error:
        deployment.read_settings(state)
    assert "`git pull`" in error.value.cure


def test_settings_name_the_format_of_the_folder_and_the_release_that_wrote_it(state: Path) -> None:
    deployment.write_settings(state, SETTINGS)
    written = json.loads((state / "settings.json").read_text())
    assert (written["version"], written["pantheon"]) == (VERSION, __version__)
    written["pantheon"] = "0.0.1"  # an older release with the same format
    (state / "settings.json").write_text(json.dumps(written))
    found = deployment.read_settings(state)
    assert found and not deployment.is_current(state, found), "the next command writes its own release"


@pytest.mark.parametrize("s3", [{}, {"endpoint": "http://s3.example.org", "bucket": "b", "region": "eu-west-1"}])
def test_the_layout_of_the_previous_release_is_migrated_without_loss(state: Path, s3: dict[str, str]) -> None:
    written = old_layout(state, s3=s3)
    result = deployment.read_settings(state)
    assert result
    for name in ("name", "tier", "engine", "port_offset", "dataset", "approval", "trials", "seed", "without"):
        assert getattr(result, name) == written[name]
    assert result.route == Route("dataflow", "jupyter", "s3", "")
    assert result.s3 == (OtherS3(**s3) if s3 else None)
    deployment.write_settings(state, result)
    assert deployment.read_settings(state) == result
    copy = json.loads(deployment.published_file(state).read_text())
    assert copy["route"].items() >= written["route"].items(), "services of the release before go on reading it"


def test_services_of_the_previous_release_are_supported_until_they_are_replaced(state: Path) -> None:
    old_layout(state)
    before = time.time() - 60
    old = state / "state" / "serving.json"
    result = deployment.read_settings(state)
    assert result
    deployment.write_settings(state, result)
    assert deployment.served(state) == "wine"
    deployment.set_served(state, "robots")
    assert deployment.served(state) == "robots"
    assert json.loads(old.read_text())["model"] == "robots", "the old button follows"
    old.write_text('{"model": "churn"}')  # the old button deploys
    os.utime(old, ns=(2**62, 2**62))
    assert deployment.served(state) == "churn"
    assert not migration.end(state, before), "a service that is older than the migration still runs"
    assert old.exists()
    assert migration.end(state, time.time() + 1)
    assert sorted(path.name for path in (state / "state").iterdir()) == ["deployment.json"]
    assert not migration.under_way(state)


@pytest.mark.parametrize("content", [*DAMAGE.values(), b'{"model": "../../x"}', b'{"model": ["a"]}', b'{"model": ""}'])
def test_only_a_valid_model_name_from_a_service_counts(state: Path, content: bytes | None) -> None:
    deployment.set_served(state, "robots")
    damage(deployment.serving_file(state), content)
    assert deployment.served(state) == ""


def test_a_pipe_or_a_huge_file_in_the_shared_folder_does_not_block(state: Path) -> None:
    (state / "shared").mkdir()
    os.mkfifo(deployment.serving_file(state))
    assert deployment.served(state) == ""
    deployment.serving_file(state).unlink()
    with deployment.serving_file(state).open("wb") as file:
        file.truncate(1 << 40)
    assert deployment.served(state) == ""


def test_where_models_are_stored(state: Path) -> None:
    assert deployment.read_store(state) is None
    there = StoreLocation("pantheon", "http://s3:9000", "http://127.0.0.1:9000", embedded=True)
    deployment.write_store(state, there)
    assert deployment.read_store(state) == there
    deployment.write_store(state, None)
    assert deployment.read_store(state) is None


@pytest.mark.parametrize("content", [*DAMAGE.values(), b'{"kind": "ftp", "bucket": "b"}', b'{"kind": "s3"}'])
def test_a_damaged_store_location_is_named_with_a_remedy(state: Path, content: bytes | None) -> None:
    damage(deployment.store_file(state), content)
    if content and (b"tier" in content or b"route" in content):  # these are missing the bucket
        assert b"bucket" not in content
    with pytest.raises(PantheonError, match=r"store\.json (is damaged|names an unknown)") as error:
        deployment.read_store(state)
    assert "up" in error.value.cure


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_damaged_services_are_empty_until_the_engine_rewrites_them(state: Path, content: bytes | None) -> None:
    damage(deployment.services_file(state), content)
    assert deployment.read_services(state).services == []


def test_services_are_read_with_unknown_keys(state: Path) -> None:
    record = {"name": "button", "state": "healthy", "restarts": 2, "start": 1, "ports": [8080]}
    deployment.services_file(state).write_text(json.dumps({"updated": "now", "boot": "x", "services": [record]}))
    (result,) = deployment.read_services(state).services
    assert (result.name, result.state, result.restarts, result.memory) == ("button", "healthy", 2, 0)


def plant(path: Path, kind: str) -> None:
    """Put what a service could put in the place of its file."""
    path.unlink(missing_ok=True)
    if kind == "link":
        other = path.with_name("other")
        other.write_text('{"model": "stolen"}')
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(
            {
                "huge": b'{"model": "' + b"a" * (2 << 20) + b'"}',
                "deep": b"[" * 100_000,
                "list": b'[{"model": "robots"}]',
                "number": b'{"model": 7}',
                "escape": rb'{"model": "\u001b]0;title\u0007robots"}',
                "path": b'{"model": "../../etc"}',
                "bytes": b'\xff\xfe{"model": 1}',
            }[kind]
        )


@pytest.mark.parametrize(
    "kind", ["link", "pipe", "folder", "device", "huge", "deep", "list", "number", "escape", "path", "bytes"]
)
def test_what_a_service_writes_is_untrusted(state: Path, kind: str) -> None:
    (state / "shared").mkdir()
    plant(deployment.serving_file(state), kind)
    assert deployment.served(state) == ""


def test_an_outcome_of_a_refused_model_has_no_version() -> None:
    assert Outcome("refused", "wine", None, "worse").version is None

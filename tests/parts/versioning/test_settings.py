"""The settings of git and DVC in a repository: keys stay out of git, and users' settings are kept."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pantheon
from pantheon import versioning
from pantheon.errors import PantheonError
from pantheon.files import read_json, write_json
from pantheon.store import FolderStore
from pantheon.versioning import launch, repository, settings
from pantheon.versioning.checkout import Checkout
from pantheon.versioning.commands import Git, failed
from pantheon.versioning.record import Record
from tests.support import s3_servers as servers
from tests.support.versioning import Deployment

LATIN = os.fsdecode(b"caf\xe9.txt")


@pytest.fixture
def bare(tmp_path: Path) -> Deployment:
    """A deployment whose repository is made, and whose S3 nobody asks."""
    state = tmp_path / "state"
    for name in ("state", "repositories", "secrets/s3"):
        (state / name).mkdir(parents=True)
    write_json(state / "state" / "deployment.json", {"tier": "odysseus", "engine": "local", "route": {"data": "dvc"}})
    (state / "secrets" / "s3" / "credentials").write_text(servers.KEYS)
    found = Deployment(state, servers.Server("http://127.0.0.1:9", tmp_path), "bucket")
    found.point(found.server.endpoint)
    versioning.prepare(state)
    return found


def keys(folder: Path) -> str:
    return (folder / ".dvc" / "config.local").read_text()


def staged(git: Git) -> list[str]:
    """What ``git add -A`` would commit."""
    git("add", "-A")
    return git("diff", "--cached", "--name-only").splitlines()


def follow(cure: str) -> None:
    """Do what a message says."""
    command = cure[cure.index("cd ") :].split(";")[0].split(". Whoever")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True)


# Keys stay out of git -------------------------------------------------------------------------------------------------


def test_without_dvcs_folder_no_key_is_written(bare: Deployment) -> None:
    shutil.rmtree(bare.main / ".dvc")
    assert not repository.is_prepared(bare.state)
    warning = versioning.prepare(bare.state).warning
    assert re.search(r"\.dvc/config is missing in .*main", warning)
    assert not (bare.main / ".dvc").exists()
    follow(warning)
    versioning.prepare(bare.state)
    assert "testsecret" in keys(bare.main) and bare.git("status", "--porcelain") == ""


def test_a_committed_deletion_can_be_undone(bare: Deployment) -> None:
    bare.git("rm", "-q", "-r", ".dvc")
    bare.git("commit", "-q", "-m", "no DVC")
    warning = versioning.prepare(bare.state).warning
    assert re.search(r"\.dvc/config is missing", warning)
    follow(warning.replace("git commit", "git -c user.name=a -c user.email=a@b commit"))
    versioning.prepare(bare.state)
    assert "testsecret" in keys(bare.main)


def test_git_ignores_the_keys_on_every_branch(bare: Deployment) -> None:
    (bare.main / ".dvc" / ".gitignore").unlink()
    assert staged(bare.git) == [".dvc/.gitignore"]
    bare.git("reset", "-q", "--hard")
    bare.git("switch", "-q", "--orphan", "empty")
    assert "testsecret" in keys(bare.main) and staged(bare.git) == []
    warning = versioning.prepare(bare.state).warning
    assert re.search(r"\.dvc/config is missing", warning)
    follow(warning)
    versioning.prepare(bare.state)
    assert bare.git.branch() == "main"


def test_keys_in_git_are_reported(bare: Deployment) -> None:
    bare.git("add", "-f", ".dvc/config.local")
    warning = versioning.prepare(bare.state).warning
    assert re.search(r"git tracks \.dvc/config\.local .* has the keys", warning)
    follow(warning.replace("&& git commit -m 'No keys in git'", "#"))
    versioning.prepare(bare.state)


def test_a_repository_of_an_earlier_version_gets_the_settings(bare: Deployment) -> None:
    """So do checkouts beside it, but for what somebody has set there."""
    other = bare.main.with_name("robots-1")
    shutil.copytree(bare.main, other)
    for folder in (bare.main, other):
        shutil.rmtree(folder / ".git" / "info")
        for name in settings.OPTIONS:
            Git(folder, bare.state)("config", "--unset", name)
    Git(other, bare.state)("config", "core.excludesFile", "/mine")
    (bare.main / ".git" / "info").mkdir()
    (bare.main / ".git" / "info" / "exclude").write_text("*.mine")  # as an editor may leave it, without an end
    assert not repository.is_prepared(bare.state)
    versioning.prepare(bare.state)
    assert repository.is_prepared(bare.state)
    for folder in (bare.main, other):
        assert settings.applied(folder) and Git(folder, bare.state)("config", "--local", "core.autocrlf") == "false"
    assert "*.mine" in (bare.main / ".git" / "info" / "exclude").read_text().splitlines()
    assert Git(other, bare.state)("config", "core.excludesFile") == "/mine"


# What a user has set stays --------------------------------------------------------------------------------------------


def test_remotes_and_keys_of_the_user_are_kept(bare: Deployment, tmp_path: Path) -> None:
    bare.dvc("remote", "add", "--local", "-d", "mine", str(tmp_path / "own"))
    bare.dvc("remote", "modify", "--local", "mine", "verify", "true")
    bare.dvc("remote", "modify", "--local", "store", "jobs", "3")
    assert repository.is_prepared(bare.state)
    text = servers.KEYS.replace("testsecret", "new/secret=")
    for more in ("aws_session_token = token\n", ""):
        (bare.state / "secrets" / "s3" / "credentials").write_text(text + more)
        assert not repository.is_prepared(bare.state)
        versioning.prepare(bare.state)
        assert repository.is_prepared(bare.state)
    said = bare.dvc("config", "--local", "--list")
    assert sorted(said.splitlines()) == [
        "core.remote=mine",
        "remote.mine.url=" + str(tmp_path / "own"),
        "remote.mine.verify=true",
        "remote.store.access_key_id=testkey",
        "remote.store.jobs=3",
        "remote.store.secret_access_key=new/secret=",
        "remote.store.url=s3://bucket/dvc",
    ]
    assert stat.S_IMODE((bare.main / ".dvc" / "config.local").stat().st_mode) == 0o600


def test_a_malformed_config_is_reported_without_its_content(bare: Deployment) -> None:
    (bare.main / ".dvc" / "config.local").write_text("secret_access_key testsecret\n")
    warning = versioning.prepare(bare.state).warning
    assert re.search(r"config\.local is malformed", warning)
    assert "testsecret" not in warning


def test_the_stores_address_applies_only_to_the_store(
    bare: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine and for services at once: one repository, two addresses."""
    there = {"host_endpoint": "http://127.0.0.1:9000", "endpoint": "http://s3:9000"}
    write_json(bare.state / "state" / "store.json", {"kind": "s3", "bucket": "bucket"} | there)
    mine = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_PROFILE": "nope"}
    host = launch.environment(bare.state, bare.main, mine)
    inside = launch.environment(bare.state, bare.main, mine | {"STATE_DIR": str(bare.state)})
    for found, address in ((host, there["host_endpoint"]), (inside, there["endpoint"])):
        assert found["AWS_ENDPOINT_URL"] == "https://s3.example.org"  # of a remote of their own
        assert "AWS_PROFILE" not in found
        assert f"endpointurl = {address}\n" in Path(found["DVC_SYSTEM_CONFIG_DIR"], "config").read_text()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile work]\nregion = eu-central-1\n")
    work = launch.environment(bare.state, bare.main, mine | {"AWS_PROFILE": "work"})
    assert work["AWS_PROFILE"] == "work"  # of a remote of their own, again
    assert launch.environment(bare.state, bare.main, {})["DVC_SYSTEM_CONFIG_DIR"] == host["DVC_SYSTEM_CONFIG_DIR"]
    bare.dvc("remote", "add", "mine", "s3://mine/dvc")
    assert "endpointurl" not in (bare.main / ".dvc" / "config").read_text() + keys(bare.main)
    said = bare.dvc("config", "--list")
    assert f"remote.store.endpointurl={there['host_endpoint']}" in said and "remote.mine.endpointurl" not in said


# With settings of the user's that are in the way ----------------------------------------------------------------------


@dataclass
class Version:
    """A version whose run is recorded."""

    store: FolderStore
    recorded: Record

    def back(self, deployment: Deployment) -> Checkout:
        return versioning.checkout(deployment.state, self.store, "robots", "1")


@pytest.fixture(scope="module")
def strange(light: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A home folder whose settings for git and S3 are the user's, and a name of a file in another encoding."""
    home = tmp_path_factory.mktemp("home")
    (home / "ignored").write_text("*.lock\ndata/\n*.toml\n")
    (home / ".gitconfig").write_text(f"[core]\n\tautocrlf = true\n\texcludesfile = {home}/ignored\n")
    closed = f"http://127.0.0.1:{servers.free_ports(1)[0]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        patch.setenv("AWS_ENDPOINT_URL_S3", closed)
        patch.setenv("AWS_PROFILE", "nope")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        versioning.prepare(light.state)
        (light.main / LATIN).write_text("mine")
        light.git("add", "--", LATIN)
        light.git("commit", "-q", "-m", "a name in Latin-1")
        light.dvc("remote", "add", "--local", "-d", "mine", str(home / "own"))
        yield light


@pytest.fixture(scope="module")
def version(strange: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Version:
    run = strange.finished("20260101-000000-0000")
    recorded = strange.record(run).record
    strange.dvc("push", "-r", "store")
    store, bundle = FolderStore(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("bundle")
    (bundle / "model.onnx").write_bytes(b"onnx")
    code = {"version": pantheon.__version__, "lock_sha256": ""}
    write_json(bundle / "lineage.json", {"run": run.id, "code": code})
    told = {"version_control": {"commit": recorded["commit"]}}
    assert store.publish("robots", bundle, {"run": run.id} | told) == "1"
    return Version(store, recorded)


@pytest.fixture(scope="module")
def folder(strange: Deployment, version: Version) -> Path:
    """The version brought back, out of S3: the cache is empty."""
    shutil.rmtree(strange.state / "repositories" / "cache")
    return Path(version.back(strange)["path"])


def test_a_run_is_recorded_despite_global_git_settings(strange: Deployment, version: Version) -> None:
    assert strange.git("status", "--porcelain") == ""
    assert {"dvc.lock", "spec.toml", "data/source.dvc", LATIN} <= set(strange.git.files())
    (strange.main / LATIN).write_text("changed")
    assert strange.git.changed() == [LATIN]
    strange.git("checkout", "-q", "--", LATIN)


def test_a_version_is_restored_with_its_line_ends(strange: Deployment, version: Version, folder: Path) -> None:
    run = strange.state / "runs" / "20260101-000000-0000"
    assert (folder / "spec.toml").read_bytes() == (run / "spec.toml").read_bytes()
    assert not [name for name in ("params.yaml", "dvc.lock", "spec.toml") if b"\r" in (folder / name).read_bytes()]
    assert (folder / "data" / "train.parquet").read_bytes() == (run / "data" / "train.parquet").read_bytes()
    assert strange.dvc("status", folder=folder) == "Data and pipelines are up to date.\n"
    (folder / ".dvc" / ".gitignore").unlink()
    git = Git(folder, strange.state)
    assert staged(git) == [".dvc/.gitignore"]
    git("reset", "-q", "--hard")


def test_a_restored_version_is_repaired_from_s3(
    strange: Deployment, version: Version, folder: Path, tmp_path: Path
) -> None:
    """As after ``dvc gc``, which empties the shared cache; and not out of a remote of the user's."""
    strange.dvc("remote", "add", "--local", "-d", "mine", str(tmp_path), folder=folder)
    file = folder / "data" / "train.parquet"
    before = file.read_bytes()
    file.unlink()
    shutil.rmtree(strange.state / "repositories" / "cache")
    assert version.back(strange)["there"]
    assert file.read_bytes() == before


def test_checkout_of_a_repeated_version_says_how_to_reset_it(
    strange: Deployment, version: Version, folder: Path
) -> None:
    """``dvc repro -f`` writes times, so dvc.lock is another one."""
    file = folder / "reports" / "load_data.json"
    before = file.read_bytes()
    report = read_json(file)
    file.unlink()
    file.write_text(json.dumps(report | {"seconds": 2.0}))
    strange.dvc("commit", "-f", "load_data", folder=folder)
    with pytest.raises(PantheonError, match=r"has changes of yours \(dvc\.lock") as error:
        version.back(strange)
    follow(error.value.cure)
    assert version.back(strange)["there"]
    assert file.read_bytes() == before


def test_dvcs_errors_are_complete() -> None:
    said = (
        "WARNING: Cache 'HashInfo' not found.\nERROR: Checkout failed for following targets:\ndata/train.parquet\n"
        "features\nIs your cache up to date?\n\nERROR: second\nWARNING: not this\nnor this\n"
    )
    assert str(failed("checkout", said)) == (
        "dvc checkout failed: Checkout failed for following targets: data/train.parquet features "
        "Is your cache up to date?; second"
    )
    assert len(str(failed("checkout", "ERROR: these:\n" + "name\n" * 10_000))) < 600

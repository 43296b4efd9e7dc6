"""Images: built when their sources changed and not otherwise, tagged by version and lock, secret-free, portable."""

import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from pantheon import __version__
from pantheon.cli import images
from pantheon.engines.docker_api import Api
from pantheon.errors import PantheonError

from .conftest import ROOT, docker_command


def test_tags_carry_the_version_and_change_with_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    lock = tmp_path / "requirements" / "serving.txt"
    lock.write_text("numpy==2.0\n")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = images.tag_of("serving")
    assert before.startswith(f"{__version__}-")
    assert images.tags() == {"PANTHEON_SERVING_TAG": before}
    lock.write_text("numpy==2.1\n")
    assert images.tag_of("serving") != before


def test_settings_of_the_installer_are_secrets_and_on_no_command_line(tmp_path: Path) -> None:
    ca = tmp_path / "company.pem"
    ca.write_text("certificates")
    given = {"PANTHEON_CA": str(ca), "UV_DEFAULT_INDEX": "https://ada:s3cret@index.example/simple", "OTHER": "x"}
    with images.build_secrets(given) as options:
        assert f"id=ca,src={ca}" in options
        (file,) = [Path(o.partition("src=")[2]) for o in options if o.startswith("id=installer")]
        assert file.read_text() == "UV_DEFAULT_INDEX=https://ada:s3cret@index.example/simple\n"
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert "s3cret" not in " ".join(options)
    assert not file.exists()


def test_a_proxy_of_this_machine_is_reachable_from_the_build() -> None:
    with images.build_secrets({"HTTPS_PROXY": "http://127.0.0.1:3128"}) as options:
        assert options[-4:-2] == ["--network", "host"] or "--network" in options
    with images.build_secrets({"HTTPS_PROXY": "http://proxy.example:3128"}) as options:
        assert "--network" not in options


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"PANTHEON_CA=.*none\.pem is no file"):
        images.ca_file({"PANTHEON_CA": str(tmp_path / "none.pem")})


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match=r"there is no file .*none\.tar"):
        images.load(tmp_path / "none.tar")


def copied(name: str) -> set[str]:
    """What the Dockerfile copies from here into the image ``name``."""
    found, stages, stage, base = dict[str, set[str]](), dict[str, str](), "", ""
    for line in (ROOT / "compose" / "Dockerfile").read_text().replace("${ENVIRONMENT}", name).splitlines():
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            base, stage = match.groups()
            stages[stage] = base
        elif match := re.match(r"COPY (?!--chmod=755 <<)(.+) \S+", line):
            source = match[1]
            if from_ := re.match(r"--from=(\S+)", source):
                found.setdefault(stage, set()).update(found[from_[1]] | found.get("installer", set()))
            else:
                found.setdefault(stage, set()).add(source)
    stage, sources = "service", set[str]()
    while stage in stages:
        sources |= found.get(stage, set())
        stage = stages[stage]
    return sources


@pytest.mark.parametrize("name", ["airflow", "jupyter", "jupyter-pycaret", "postgres", "s3", "serving", "workflow"])
def test_the_hash_of_sources_covers_what_the_image_has_and_no_more(name: str) -> None:
    locks = {str(path.relative_to(ROOT)) for path in images.locks_of(name)}
    assert copied(name) == {*images.SOURCES, *images.BESIDES.get(name, ()), *locks} - {"compose/Dockerfile"}


def test_a_change_of_a_dag_concerns_airflows_image_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("airflow", "jupyter", "serving", "workflow")
    for file in ("dags/etl.py", "notebooks/train.ipynb", *(f"requirements/{name}.txt" for name in (*names, "dvc"))):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    monkeypatch.setattr(images, "ROOT", tmp_path)

    def changed_by(file: str) -> set[str]:
        before = {name: images.sources_of(name) for name in names}
        (tmp_path / file).write_text(f"{file} changed")
        return {name for name in names if images.sources_of(name) != before[name]}

    assert changed_by("dags/etl.py") == {"airflow"}
    assert changed_by("notebooks/train.ipynb") == {"jupyter"}
    tags = {name: images.tag_of(name) for name in names}
    assert changed_by("requirements/workflow.txt") == {"airflow", "jupyter", "workflow"}
    assert {name for name in names if images.tag_of(name) != tags[name]} == {"airflow", "jupyter", "workflow"}
    assert changed_by("requirements/dvc.txt") == {"jupyter", "workflow"}


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
class TestBuilt:
    def test_an_image_of_others_that_cannot_be_pulled_is_named_with_the_ways_out(self, docker: Api) -> None:
        with pytest.raises(PantheonError) as caught:
            images.provide(["registry.invalid/postgres:18"])
        assert (
            "the image registry.invalid/postgres:18 is not on this machine and cannot be pulled: " in caught.value.cause
        )
        assert "images-load" in caught.value.cure and "POSTGRES_IMAGE=" in caught.value.cure

    def test_an_image_is_built_once(self, docker: Api) -> None:
        images.make(["postgres"])
        found = docker.ask(f"/images/{images.image_of('postgres')}/json")
        images.make(["postgres"])
        again = docker.ask(f"/images/{images.image_of('postgres')}/json")
        assert (again["Id"], again["Metadata"]) == (found["Id"], found["Metadata"])

    def test_certificates_and_index_are_in_no_layer(self, docker: Api, tmp_path: Path) -> None:
        images.make(["postgres"])
        image = images.image_of("postgres")
        assert "SSL_CERT_FILE" not in str(docker.ask(f"/images/{image}/json"))
        words = [
            "run",
            "--rm",
            "--user",
            "0",
            "--network",
            "none",
            image,
            "find",
            "/installer",
            "/run/secrets",
            "/cache",
        ]
        listed = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        assert listed.stdout == "" and listed.stderr.count("No such file or directory") == 3
        history = docker_command("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        assert "begin certificate" not in history.lower()
        assert "index" not in history.lower().replace("id=installer", "")

    def test_packages_are_those_of_the_lock(self, docker: Api) -> None:
        images.make(["postgres"])
        code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
        said = docker_command("run", "--rm", "--network", "none", images.image_of("postgres"), "python", "-c", code)
        locked = {line.split()[0] for line in images.lock_of("postgres").read_text().splitlines() if "==" in line}
        assert set(said.split()) == locked

    @pytest.mark.parametrize("name", ["images.tar", "images.tar.gz"])
    def test_saved_images_come_back(self, docker: Api, tmp_path: Path, name: str) -> None:
        tiny = "pantheon-test/tiny:1"
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        docker_command("buildx", "build", "--load", "-q", "-t", tiny, str(tmp_path))
        before = docker.ask(f"/images/{tiny}/json")["Id"]
        images.save([tiny], tmp_path / name)
        assert tarfile.is_tarfile(tmp_path / name)
        docker_command("image", "rm", tiny)
        assert docker.ask(f"/images/{tiny}/json") is None
        assert images.load(tmp_path / name) == [tiny]
        assert docker.ask(f"/images/{tiny}/json")["Id"] == before
        docker_command("image", "rm", tiny)

    def test_a_broken_archive_is_refused(self, docker: Api, tmp_path: Path) -> None:
        (tmp_path / "bad.tar").write_bytes(b"no archive")
        with pytest.raises(PantheonError, match="could not be loaded"):
            images.load(tmp_path / "bad.tar")

    def test_a_build_that_fails_says_what_the_installer_said(
        self, docker: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("compose/Dockerfile", "requirements/uv.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        for folder in ("datasets", "pantheon", "serving", "tiers"):
            (tmp_path / folder).mkdir()
        (tmp_path / "requirements" / "postgres.txt").write_text("numpy==2.0.0 --hash=sha256:" + "0" * 64 + "\n")
        monkeypatch.setattr(images, "ROOT", tmp_path)
        with pytest.raises(PantheonError) as caught:
            images.build("postgres", docker.host)
        assert "the image postgres could not be built" in caught.value.cause
        assert "numpy" in caught.value.cause
        assert "hash" in caught.value.cause.lower()

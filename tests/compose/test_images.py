"""Images: built when their sources changed and not otherwise, tagged by version and lock, secret-free, portable."""

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


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
class TestBuilt:
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
        (tmp_path / "requirements" / "broken.txt").write_text("numpy==2.0.0 --hash=sha256:" + "0" * 64 + "\n")
        monkeypatch.setattr(images, "ROOT", tmp_path)
        with pytest.raises(PantheonError) as caught:
            images.build("broken", docker.host)
        assert "the image broken could not be built" in caught.value.cause
        assert "numpy" in caught.value.cause
        assert "hash" in caught.value.cause.lower()

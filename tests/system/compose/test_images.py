"""Images are built only when their sources change, tagged by version and lock, portable and free of secrets."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from pantheon.engines.compose import images
from pantheon.engines.compose.client import Api
from pantheon.errors import PantheonError
from tests.support import ROOT
from tests.support.compose import docker_command


@pytest.mark.docker
@pytest.mark.timeout(600)
class TestBuilt:
    def test_a_third_party_image_that_cannot_be_pulled_is_reported_with_remedies(self, docker: Api) -> None:
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
    def test_saved_images_can_be_loaded(self, docker: Api, tmp_path: Path, name: str) -> None:
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

    def test_a_broken_archive_is_rejected(self, docker: Api, tmp_path: Path) -> None:
        (tmp_path / "bad.tar").write_bytes(b"no archive")
        with pytest.raises(PantheonError, match="could not be loaded"):
            images.load(tmp_path / "bad.tar")

    def test_a_failed_build_shows_the_installers_output(
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

"""The images of our environments: built when their sources changed, and carried to machines without network."""

import gzip
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pantheon import __version__
from pantheon.cli import show
from pantheon.engines import docker_api
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

LABEL = "pantheon.sources"
OURS = "pantheon/"
SOURCES = ("compose/Dockerfile", "requirements/uv.txt", "datasets", "pantheon", "serving", "tiers")  # and the locks
BESIDES = {
    "airflow": ("dags",),
    "jupyter": ("notebooks",),
    "jupyter-pycaret": ("notebooks",),
}  # what not all images have
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}  # by .dockerignore too
WITH = {  # environments besides its own
    "airflow": ("workflow",),
    "jupyter": ("workflow", "dvc"),
    "jupyter-pycaret": ("workflow", "dvc", "pycaret"),
    "workflow": ("dvc",),
}
OWN = {"jupyter-pycaret": "jupyter"}  # an image's own environment, where it is not called as the image is
INSTALLER = (  # what the installer on this machine obeys, the one in the build obeys too
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_HTTP_TIMEOUT"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


def lock_of(name: str) -> Path:
    path = ROOT / "requirements" / f"{name}.txt"
    if not path.exists():
        raise PantheonError(f"there is no environment {name!r}: {path} is missing.")
    return path


def locks_of(name: str) -> list[Path]:
    """The locks of all environments in the image ``name``, its own first."""
    return [lock_of(each) for each in (OWN.get(name, name), *WITH.get(name, ()))]


def tag_of(name: str) -> str:
    """Our version and the locks' hash: the same tag, the same packages."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks_of(name)))
    return f"{__version__}-{digest.hexdigest()[:12]}"


def image_of(name: str) -> str:
    return f"pantheon/{name}:{tag_of(name)}"


def tags() -> dict[str, str]:
    """What the compose files' variables of tags stand for, such as ``PANTHEON_SERVING_TAG``."""
    names = [path.stem for path in sorted((ROOT / "requirements").glob("*.txt"))]
    names += [name for name, own in OWN.items() if own in names]
    return {f"PANTHEON_{name.upper().replace('-', '_')}_TAG": tag_of(name) for name in names}


def ca_file(environment: Mapping[str, str]) -> Path | None:
    """``PANTHEON_CA``: certificates of the user's company, for builds and for running services.

    Raises:
        PantheonError: it names no file.
    """
    given = environment.get("PANTHEON_CA")
    if not given:
        return None
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise PantheonError(f"PANTHEON_CA={given} is no file.", "Name a file of certificates in PEM form.")
    return path


def sources_of(name: str) -> str:
    """A hash over all that goes into the image ``name``."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks_of(name)))
    for source in (*SOURCES, *BESIDES.get(name, ())):
        top = ROOT / source
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.parts):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(api: docker_api.Api, name: str) -> bool:
    """Whether the engine has the image, built from what is here now."""
    found = api.ask(f"/images/{image_of(name)}/json")
    return bool(found) and ((found["Config"].get("Labels") or {}).get(LABEL) == sources_of(name))


def provide(images: list[str]) -> None:
    """Build or pull what the engine lacks of ``images``, as the compose files name them.

    Raises:
        PantheonError: one can be neither built nor pulled.
    """
    make([image.removeprefix(OURS).partition(":")[0] for image in images if image.startswith(OURS)])
    api = docker_api.Api(docker_api.find(os.environ).host)
    missing = [image for image in images if not image.startswith(OURS) and not api.ask(f"/images/{image}/json")]
    with show.steps() as steps:
        for image in missing:
            steps.start(f"image {image}")
            begin = time.monotonic()
            try:
                pull(image, api.host)
            except BaseException:
                steps.end(f"image {image}", "failed")
                raise
            steps.end(f"image {image}", took=time.monotonic() - begin)


def pull(image: str, host: str) -> None:
    """Get an image of others from its registry, with the user's own credentials for it."""
    show.echo(f"docker pull {image}")
    command = [docker_command(), "pull", "--quiet", image]
    done = subprocess.run(command, env=os.environ | {"DOCKER_HOST": host}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().removeprefix("Error response from daemon: ").splitlines() or ["no reason given"]
        raise PantheonError(
            f"the image {image} is not on this machine and cannot be pulled: {said[-1][:300]}.",
            "Bring it in a file (make images-save FILE=… where there is network, make images-load FILE=… here), "
            "or name one that is here, such as POSTGRES_IMAGE=….",
            1,
        )


def docker_command() -> str:
    """The docker command's path."""
    found = shutil.which("docker")
    if not found:
        raise PantheonError(
            "Images are built with the docker command, and there is none.", "Install docker-cli and docker-buildx."
        )
    return found


def make(names: list[str]) -> None:
    """Build what is missing or older than its sources, with progress.

    Raises:
        PantheonError: the build failed; carries its last words.
    """
    api = docker_api.Api(docker_api.find(os.environ).host)
    missing = [name for name in dict.fromkeys(names) if not is_current(api, name)]
    with show.steps() as steps:
        for name in missing:
            steps.start(f"image {name}")
            begin = time.monotonic()
            try:
                build(name, api.host)
            except BaseException:
                steps.end(f"image {name}", "failed")
                raise
            steps.end(f"image {name}", took=time.monotonic() - begin, note=image_of(name))


def build(name: str, host: str) -> None:
    """Build one image, tagged with version and lock, and ``dev`` for plain ``docker compose``."""
    docker = docker_command()
    words = ["buildx", "build", "--load", "-f", "compose/Dockerfile", "--build-arg", f"ENVIRONMENT={name}"]
    words += ["-t", image_of(name), "-t", f"pantheon/{name}:dev"]
    with build_secrets(os.environ) as secrets:
        shown = [*words, *secrets, "."]
        show.echo(f"docker {shlex.join(shown)}")
        command = [docker, *words, "--build-arg", f"SOURCES={sources_of(name)}", "--progress", "plain", *secrets, "."]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"DOCKER_HOST": host}, capture_output=True, text=True, check=False
        )
    if done.returncode and "is not a docker command" in done.stderr:
        raise PantheonError(
            "Images are built with docker's buildx, and there is none.", "Install docker-buildx (0.17 or newer)."
        )
    if done.returncode:
        raise PantheonError(
            f"the image {name} could not be built:\n{last_words(done.stderr)}\n",
            "Is the package index reachable? Behind a proxy set HTTPS_PROXY, and PANTHEON_CA=certificates.pem.",
            1,
        )


def last_words(log: str) -> str:
    """What a failed step printed, without the copy of the Dockerfile that buildx ends with."""
    lines = [line for line in log.partition("\n------\n")[0].splitlines() if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-12:])


@contextmanager
def build_secrets(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Options that hand certificates and the package index's settings to the build; they get into no layer."""
    ca = ca_file(environment) or (Path(environment["SSL_CERT_FILE"]) if environment.get("SSL_CERT_FILE") else None)
    settings = {key: environment[key] for key in INSTALLER if environment.get(key)}
    options = ["--secret", f"id=ca,src={ca}"] if ca and ca.is_file() else []
    if any(
        host in value for key, value in settings.items() if "roxy" in key.lower() for host in ("127.0.0.1", "localhost")
    ):
        options += ["--network", "host"]  # a proxy of this machine
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        if settings:
            file = Path(folder) / "installer"
            file.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()))
            options += ["--secret", f"id=installer,src={file}"]
        yield options


def save(images: list[str], file: Path) -> None:
    """Write images into one archive; compressed where its name ends in ``.gz`` or ``.tgz``."""
    show.echo(f"docker image save {' '.join(images)} > {file}")
    part = file.with_name(f".{file.name}.part")
    packed = file.suffix in (".gz", ".tgz")
    try:
        with docker("image", "save", *images, stdout=subprocess.PIPE) as process:
            assert process.stdout
            with gzip.open(part, "wb", compresslevel=1) if packed else part.open("wb") as target:
                shutil.copyfileobj(process.stdout, target, 1 << 20)
            check(process, "saved")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def load(file: Path) -> list[str]:
    """Bring the images of an archive into the engine; their names."""
    if not file.is_file():
        raise PantheonError(f"there is no file {file}.", "Make one on a machine with network: make images-save FILE=…")
    show.echo(f"docker image load --input {file}")
    with docker("image", "load", "--input", str(file), stdout=subprocess.PIPE) as process:
        assert process.stdout
        said = process.stdout.read().decode()
        check(process, "loaded")
    return [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Loaded image")]


def docker(*words: str, stdout: int) -> subprocess.Popen[bytes]:
    host = docker_api.find(os.environ).host
    return subprocess.Popen(
        ["docker", *words], env=os.environ | {"DOCKER_HOST": host}, stdout=stdout, stderr=subprocess.PIPE
    )


def check(process: subprocess.Popen[bytes], done: str) -> None:
    assert process.stderr
    said = process.stderr.read().decode(errors="replace").strip()
    if process.wait():
        raise PantheonError(f"the images could not be {done}: {said[-300:]}", "Free some disk, or check the file.", 1)


def facts(names: list[str]) -> list[dict[str, Any]]:
    """Name and size, bytes, of our images as the engine has them."""
    api = docker_api.Api(docker_api.find(os.environ).host)
    return [
        {"image": image_of(name), "size": (api.ask(f"/images/{image_of(name)}/json") or {}).get("Size")}
        for name in names
    ]

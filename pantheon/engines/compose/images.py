"""Pantheon's images: build them if their sources changed, and save and load them for machines without network."""

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

from pantheon import __version__, terminal
from pantheon.components import Image, read
from pantheon.engines.compose import client
from pantheon.errors import PantheonError
from pantheon.files import atomic, write_text
from pantheon.tiers import ROOT, definitions

LABEL = "pantheon.sources"
OURS = "pantheon/"
TEMPLATE = "compose/Dockerfile"
CONVERSIONS = ROOT / "compose" / "convert.yaml"  # in no tier; see deployment/model_convert.py
SOURCES = ("requirements/uv.txt", "datasets", "pantheon", "serving", "tiers")  # in every image
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", ".env"}  # by .dockerignore too
SECRETS = "--mount=type=secret,id=ca --mount=type=secret,id=installer"
INSTALLER = (  # settings of the installer on this machine that are passed to the build
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_HTTP_TIMEOUT"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "NPM_CONFIG_REGISTRY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)


def lock_of(name: str) -> Path:
    path = ROOT / "requirements" / f"{name}.txt"
    if not path.exists():
        raise PantheonError(f"there is no environment {name!r}: {path} is missing.")
    return path


def declared() -> dict[str, Image]:
    """Return the images that the components of all tiers declare, and the tasks that convert models."""
    found = (*definitions(), CONVERSIONS)
    return {name: image for definition in found for name, image in read(definition).images.items()}


def image_named(name: str) -> Image:
    """Return the image's content. An image that no component declares contains the environment of the same name."""
    return declared().get(name) or Image(environments=(name,))


def locks_of(name: str) -> list[Path]:
    """Return the locks of all environments in the image ``name``; the one on the PATH is first."""
    return [lock_of(environment) for environment in image_named(name).environments]


def tag_of(name: str) -> str:
    """Return Pantheon's version and the locks' hash: images with the same tag contain the same packages."""
    return _tag(image_named(name))


def _tag(image: Image) -> str:
    digest = hashlib.sha256(b"".join(lock_of(environment).read_bytes() for environment in image.environments))
    return f"{__version__}-{digest.hexdigest()[:12]}"


def image_of(name: str) -> str:
    return f"pantheon/{name}:{tag_of(name)}"


def known() -> list[str]:
    """Return the names of all images that can be built."""
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    return sorted(locks | {name for name, image in declared().items() if locks >= set(image.environments)})


def tags() -> dict[str, str]:
    """Return the values of the compose files' tag variables, such as ``PANTHEON_SERVING_TAG``."""
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    images = {name: image for name, image in declared().items() if locks >= set(image.environments)}
    found = {name: Image(environments=(name,)) for name in sorted(locks)} | images
    return {f"PANTHEON_{name.upper().replace('-', '_')}_TAG": _tag(image) for name, image in sorted(found.items())}


def dockerfile(name: str) -> str:
    """Return the Dockerfile of the image ``name``: the template, completed with the image's content.

    Environments that more images use come first, so that these images share layers.
    """
    image = image_named(name)
    uses = [environment for other in declared().values() for environment in other.environments]
    environments = sorted(image.environments, key=lambda environment: (-uses.count(environment), environment))
    stages, contents = [], ["FROM ${PYTHON} AS contents"]
    for environment in environments:
        stages += [
            f"FROM installer AS environment-{environment}",
            f"COPY requirements/{environment}.txt /installer/{environment}.txt",
            *npm_of(environment),
            f"RUN {SECRETS} --mount=type=cache,target=/cache \\\n"
            f"    /installer/environment /installer/{environment}.txt /opt/{environment}\n",
        ]
    if image.packages:
        contents.append(
            "RUN --mount=type=secret,id=installer \\\n"
            "    if [ -s /run/secrets/installer ]; then set -a; . /run/secrets/installer; set +a; fi && \\\n"
            "    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "
            f"{shlex.join(image.packages)} && \\\n"
            "    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*"
        )
    contents += [f"COPY --from=environment-{name} /opt/{name} /opt/{name}" for name in environments]
    contents.append(f"RUN ln -s {image.environments[0]} /opt/environment")
    # A model's lineage contains the lock of the environment that trained it.
    contents += [f"COPY requirements/{name}.txt /app/requirements/{name}.txt" for name in environments]
    contents += [f"COPY {folder} /app/{folder}" for folder in image.folders]
    text = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    return text.replace("# @environments\n", "\n".join(stages)).replace("# @contents\n", "\n".join([*contents, ""]))


def npm_of(environment: str) -> list[str]:
    """Return the line of a Dockerfile that adds an environment's packages of npm, if it has any.

    The environment's lock ends with their hash, so that it covers them too.
    """
    has = (ROOT / "requirements" / f"{environment}.npm").is_dir()
    return [f"COPY requirements/{environment}.npm /installer/{environment}.npm"] if has else []


def ca_file(environment: Mapping[str, str]) -> Path | None:
    """Return ``PANTHEON_CA``: certificates of the user's company, for builds and for running services.

    Raises:
        PantheonError: it is not a file.
    """
    value = environment.get("PANTHEON_CA")
    if not value:
        return None
    path = Path(value).expanduser().absolute()
    if not path.is_file():
        raise PantheonError(f"PANTHEON_CA={value} is not a file.", "Set it to a file with certificates in PEM format.")
    return path


def sources_of(name: str) -> str:
    """Return a hash of all sources of the image ``name``."""
    digest = hashlib.sha256(b"".join([dockerfile(name).encode(), *(lock.read_bytes() for lock in locks_of(name))]))
    for source in (*SOURCES, *image_named(name).folders):
        top = ROOT / source
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.parts):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(api: client.Api, name: str) -> bool:
    """Return whether the engine has the image, built from the current sources."""
    image = api.ask(f"/images/{image_of(name)}/json")
    return bool(image) and ((image["Config"].get("Labels") or {}).get(LABEL) == sources_of(name))


def provide(images: list[str]) -> None:
    """Build or pull the missing ones of ``images``, which are named as in the compose files.

    Raises:
        PantheonError: an image could not be built or pulled.
    """
    make([image.removeprefix(OURS).partition(":")[0] for image in images if image.startswith(OURS)])
    api = client.Api(client.find(os.environ).host)
    missing = [image for image in images if not image.startswith(OURS) and not api.ask(f"/images/{image}/json")]
    with terminal.steps() as steps:
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
    """Pull a third-party image from its registry, with the user's credentials."""
    terminal.echo(f"docker pull {image}")
    command = [docker_command(), "pull", "--quiet", image]
    done = subprocess.run(command, env=os.environ | {"DOCKER_HOST": host}, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().removeprefix("Error response from daemon: ").splitlines() or ["no reason given"]
        raise PantheonError(
            f"the image {image} is not on this machine and cannot be pulled: {lines[-1][:300]}.",
            "Transfer it as a file (`make images-save FILE=images.tar.gz` on a machine with network access, "
            "`make images-load FILE=images.tar.gz` here), or set an image that exists here, such as POSTGRES_IMAGE=….",
            1,
        )


def docker_command() -> str:
    """Return the docker command's path."""
    path = shutil.which("docker")
    if not path:
        raise PantheonError(
            "The docker command, which builds images, is not installed.", "Install docker-cli and docker-buildx."
        )
    return path


def make(names: list[str]) -> None:
    """Build missing and outdated images and show the progress.

    Raises:
        PantheonError: the build failed; carries the end of its output.
    """
    api = client.Api(client.find(os.environ).host)
    missing = [name for name in dict.fromkeys(names) if not is_current(api, name)]
    with terminal.steps() as steps:
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
    """Build one image and tag it with version and lock, and with ``dev`` for plain ``docker compose``."""
    docker = docker_command()
    file = ROOT / ".pantheon" / "dockerfiles" / name
    write_text(file, dockerfile(name))
    arguments = ["buildx", "build", "--load", "-f", str(file.relative_to(ROOT)), "--build-arg", f"NAME={name}"]
    arguments += ["-t", image_of(name), "-t", f"pantheon/{name}:dev"]
    with build_secrets(os.environ) as secrets:
        terminal.echo(f"docker {shlex.join([*arguments, *secrets, '.'])}")
        sources = f"SOURCES={sources_of(name)}"
        command = [docker, *arguments, "--build-arg", sources, "--progress", "plain", *secrets, "."]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"DOCKER_HOST": host}, capture_output=True, text=True, check=False
        )
    if done.returncode and "is not a docker command" in done.stderr:
        raise PantheonError(
            "docker-buildx, which builds images, is not installed.", "Install docker-buildx (0.17 or newer)."
        )
    if done.returncode:
        raise PantheonError(
            f"the image {name} could not be built:\n{last_output(done.stderr)}\n",
            "Check access to the package index. Behind a proxy, set HTTPS_PROXY and PANTHEON_CA=certificates.pem.",
            1,
        )


def last_output(log: str) -> str:
    """Return the output of the failed step, without the part of the Dockerfile that buildx appends."""
    lines = [line for line in log.partition("\n------\n")[0].splitlines() if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-12:])


@contextmanager
def build_secrets(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield options that pass certificates and settings of the package index to the build, outside of image layers."""
    ca = ca_file(environment) or (Path(environment["SSL_CERT_FILE"]) if environment.get("SSL_CERT_FILE") else None)
    settings = {key: environment[key] for key in INSTALLER if environment.get(key)}
    options = ["--secret", f"id=ca,src={ca}"] if ca and ca.is_file() else []
    if any(
        host in value for key, value in settings.items() if "roxy" in key.lower() for host in ("127.0.0.1", "localhost")
    ):
        options += ["--network", "host"]  # a proxy on this machine
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        if settings:
            file = Path(folder) / "installer"
            file.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()))
            options += ["--secret", f"id=installer,src={file}"]
        yield options


def save(images: list[str], file: Path) -> None:
    """Write images into an archive; compressed if its name ends in ``.gz`` or ``.tgz``."""
    terminal.echo(f"docker image save {' '.join(images)} > {file}")
    packed = file.suffix in (".gz", ".tgz")
    with atomic(file) as part, docker("image", "save", *images, stdout=subprocess.PIPE) as process:
        assert process.stdout
        with gzip.open(part, "wb", compresslevel=1) if packed else part.open("wb") as target:
            shutil.copyfileobj(process.stdout, target, 1 << 20)
        check(process, "saved")


def check_archive(file: Path) -> None:
    """Raise PantheonError if there is no such file."""
    if not file.is_file():
        raise PantheonError(f"there is no file {file}.", "Make one with `make images-save FILE=images.tar.gz`.")


def load(file: Path) -> list[str]:
    """Load the images of an archive into the engine. Return their names."""
    check_archive(file)
    terminal.echo(f"docker image load --input {file}")
    with docker("image", "load", "--input", str(file), stdout=subprocess.PIPE) as process:
        assert process.stdout
        output = process.stdout.read().decode()
        check(process, "loaded")
    return [line.partition(": ")[2] for line in output.splitlines() if line.startswith("Loaded image")]


def docker(*arguments: str, stdout: int) -> subprocess.Popen[bytes]:
    host = client.find(os.environ).host
    return subprocess.Popen(
        ["docker", *arguments], env=os.environ | {"DOCKER_HOST": host}, stdout=stdout, stderr=subprocess.PIPE
    )


def check(process: subprocess.Popen[bytes], done: str) -> None:
    assert process.stderr
    errors = process.stderr.read().decode(errors="replace").strip()
    if process.wait():
        raise PantheonError(f"the images could not be {done}: {errors[-300:]}", "Check the disk space and the file.", 1)


def facts(names: list[str]) -> list[dict[str, Any]]:
    """Return the name and the size in bytes of Pantheon's images in the engine."""
    api = client.Api(client.find(os.environ).host)
    return [
        {"image": image_of(name), "size": (api.ask(f"/images/{image_of(name)}/json") or {}).get("Size")}
        for name in names
    ]

"""The images of a tier, where the nodes of the cluster can use them: pushed to a registry, or loaded into the nodes.

Names end in a hash of the image's sources, because a pod is replaced only if the name of its image changes.
"""

import gzip
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.engines.compose import client
from pantheon.engines.compose import images as building
from pantheon.engines.helm import nodes as cluster
from pantheon.engines.helm import registry as registries
from pantheon.engines.helm.kube import Forbidden, Kube
from pantheon.errors import PantheonError
from pantheon.tiers import ROOT

LOCAL = "localhost/pantheon/"  # before the names of loaded images: no node can pull them from somebody else
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def provide(kube: Kube, images: Sequence[str], echo: Callable[[str], None]) -> dict[str, str]:
    """Make images available to the cluster's nodes: those of Pantheon, built first if they changed, and others.

    Args:
        images: as the compose files name them: ``pantheon/serving:0.1.0-81c3afd95923``, ``postgres:18``.
        echo: called with every external command before it runs.

    Returns:
        The name to use in pods by the name in the compose files. A name that changes with the image's content makes
        the cluster replace pods that run an older one.

    Raises:
        PantheonError: an image could not be built, pushed or loaded, or the cluster needs a registry.
    """
    registry = Registry.of(kube.environment)
    if registry:
        push(ours(images), registry, architecture(nodes_of(kube)))
        return names(images, registry.prefix_in_cluster)
    nodes = nodes_of(kube)
    found = names(images, LOCAL)
    there = cluster.present(nodes)
    if not all(cluster.full_name(name) in there for name in found.values() if name.startswith(LOCAL)):
        load(found, cluster.recognise(context_of(kube), nodes, kube.environment), nodes)
    return found


@dataclass(frozen=True)
class Registry:
    """A registry and the place in it, without a slash at the end.

    Attributes:
        address: as this machine calls it: ``registry.example.com/team``.
        in_cluster: as nodes call it.
    """

    address: str
    in_cluster: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Registry | None":
        """Return the one that the settings name, if they do."""
        address = environment.get("IMAGES_REGISTRY", "")
        return cls(address, environment.get("IMAGES_REGISTRY_IN_CLUSTER") or address) if address else None

    @property
    def prefix(self) -> str:
        return f"{self.address}/pantheon-"

    @property
    def prefix_in_cluster(self) -> str:
        return f"{self.in_cluster}/pantheon-"


# names ----------------------------------------------------------------------------------------------------------------


def ours(images: Sequence[str]) -> list[str]:
    """Return the short names of Pantheon's images among ``images``: ``serving``."""
    found = [each.removeprefix(building.OURS).partition(":")[0] for each in images if each.startswith(building.OURS)]
    return list(dict.fromkeys(found))


def tag_of(name: str) -> str:
    """Return the tag of Pantheon's image ``name``: version, hash of the locks, hash of all sources."""
    return f"{building.tag_of(name)}-{building.sources_of(name)[:12]}"


def names(images: Sequence[str], prefix: str) -> dict[str, str]:
    """Return the names to use in pods by the names in the compose files; others than Pantheon's stay as they are."""
    tags = {name: tag_of(name) for name in ours(images)}
    found = {}
    for image in images:
        name = image.removeprefix(building.OURS).partition(":")[0]
        found[image] = f"{prefix}{name}:{tags[name]}" if image.startswith(building.OURS) else image
    return found


def values(provided: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart's values ``images.prefix`` and ``images.tags`` for what ``provide`` returned."""
    tags, prefix = {}, ""
    for image, pod in provided.items():
        if image.startswith(building.OURS):
            name = image.removeprefix(building.OURS).partition(":")[0]
            before, _, tags[name] = pod.rpartition(":")
            prefix = before.removesuffix(name)
    return {"prefix": prefix, "tags": tags}


# the cluster ----------------------------------------------------------------------------------------------------------


def nodes_of(kube: Kube) -> list[dict[str, Any]]:
    """Return the cluster's nodes; none if the user may not read them."""
    try:
        return kube.items("nodes")
    except Forbidden:
        return []


def context_of(kube: Kube) -> str:
    return kube.context or kube.run(["kubectl", "config", "current-context"]).strip()


def architecture(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return the processors of the nodes that run Linux, such as ``amd64``; empty if they differ or are not known."""
    found = {each.get("status", {}).get("nodeInfo", {}).get("architecture", "") for each in nodes}
    return str(found.pop()) if len(found) == 1 else ""


# a registry -----------------------------------------------------------------------------------------------------------


def push(wanted: Sequence[str], registry: Registry, architecture: str = "") -> list[str]:
    """Push Pantheon's images that the registry does not have yet; build those first that are missing here.

    Args:
        wanted: short names, such as ``serving``.
        architecture: of the nodes, such as ``amd64``; empty: that of this machine's Docker engine.

    Returns:
        The names of all images in the registry, as this machine calls it.
    """
    api = client.Api(docker_host())
    architecture = checked_architecture(api, architecture)
    found = {name: f"{registry.prefix}{name}:{tag_of(name)}" for name in wanted}
    with terminal.step(f"looking for images in {registry.address}"):
        missing = [name for name, image in found.items() if not registries.has(image, architecture, api)]
    building.make(missing)
    with terminal.steps() as steps:
        for name in missing:
            label = f"push {name}"

            def note(text: str, label: str = label) -> None:
                steps.note(label, text)

            with timed(steps, label, found[name]), tagged(api, {building.image_of(name): found[name]}):
                registries.push(found[name], registry.address, api.host, note)
    return list(found.values())


def docker_host() -> str:
    """Return the address of this machine's Docker engine, which builds images.

    Raises:
        PantheonError: none answers.
    """
    try:
        return client.find(os.environ).host
    except PantheonError as error:
        raise PantheonError(
            f"{error.cause} It builds the images that the cluster does not have.",
            "Start it. Without one, load an archive of images: "
            "`make images-load ENGINE=helm FILE=images.tar.gz`, which `make images-save FILE=images.tar.gz` makes.",
            1,
        ) from None


def checked_architecture(api: client.Api, wanted: str) -> str:
    """Return the architecture of the images that this machine builds.

    Raises:
        PantheonError: nodes have other processors.
    """
    here = str(api.ask("/version")["Arch"])
    here = ARCHITECTURES.get(here, here)
    if wanted and wanted != here:
        raise PantheonError(
            f"the nodes have {wanted} processors, and the Docker engine of this machine builds images for {here}.",
            f"Run the command on a machine with {wanted}, or use nodes with {here}.",
        )
    return here


@contextmanager
def timed(steps: terminal.Steps, label: str, note: str = "") -> Iterator[None]:
    """Show a step, and print a line with its duration when it ends."""
    steps.start(label)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        steps.end(label, "failed")
        raise
    steps.end(label, took=time.monotonic() - begin, note=note)


@contextmanager
def tagged(api: client.Api, more: Mapping[str, str]) -> Iterator[None]:
    """Give images of the Docker engine other names meanwhile, by their names."""
    for image, name in more.items():
        repository, _, tag = name.rpartition(":")
        api.ask(f"/images/{image}/tag?repo={repository}&tag={tag}", "POST")
    try:
        yield
    finally:
        for name in more.values():
            api.ask(f"/images/{name}?noprune=1", "DELETE")


def load_archive(kube: Kube, archive: Path) -> list[str]:
    """Load an archive that ``images-save`` made into the nodes. Return their names.

    Raises:
        PantheonError: it could not be loaded, or the cluster needs a registry.
    """
    building.check_archive(archive)
    nodes = nodes_of(kube)
    way = cluster.recognise(context_of(kube), nodes, kube.environment)
    if way.shared:
        return building.load(archive)
    way.check()
    with terminal.steps() as steps, timed(steps, f"load {archive.name} into {way.kind}"), unpacked(archive) as plain:
        way.load(plain)
        return sorted(names_in(plain))


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Return an archive that is not compressed: itself, or a copy that exists meanwhile."""
    if archive.suffix not in (".gz", ".tgz"):
        yield archive
        return
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        plain = Path(folder) / "images.tar"
        with gzip.open(archive) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield plain


def scratch() -> Path:
    """Return the folder for archives, which are gigabytes: the temporary folder may be in memory."""
    return Path(os.environ.get("PANTHEON_HOME") or ROOT / ".pantheon")


def names_in(archive: Path) -> list[str]:
    """Return the names of the images in an archive of ``docker image save``."""
    with tarfile.open(archive) as packed:
        manifest = packed.extractfile("manifest.json")
        assert manifest
        return [tag for each in json.load(manifest) for tag in each.get("RepoTags") or []]


# nodes ----------------------------------------------------------------------------------------------------------------


def load(wanted: Mapping[str, str], way: cluster.Way, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Load the images that the nodes do not have; build Pantheon's first.

    Others are loaded if this machine has them. If not, nodes pull them.

    Args:
        wanted: names in pods by the names in the compose files.
    """
    there = way.present(nodes)
    missing = {image: name for image, name in wanted.items() if cluster.full_name(name) not in there}
    own = ours(list(missing))
    if not missing or (not own and not docker_answers()):
        return
    api = client.Api(docker_host())
    if own:
        way.check()
        checked_architecture(api, architecture(nodes))
        building.make(own)
    renamed = {building.image_of(name): name_in_pod(name, missing) for name in own}
    if way.shared:
        for image, name in renamed.items():
            repository, _, tag = name.rpartition(":")
            api.ask(f"/images/{image}/tag?repo={repository}&tag={tag}", "POST")
        return
    others = [image for image in missing if image not in renamed and is_here(api, image)]
    if renamed:
        with tagged(api, renamed):
            load_named(list(renamed.values()), way)
    for image in others:
        try:
            load_named([image], way)
        except PantheonError as error:
            terminal.warn(f"{error.cause} The nodes pull {image} instead.")


def name_in_pod(name: str, wanted: Mapping[str, str]) -> str:
    return next(pod for image, pod in wanted.items() if ours([image]) == [name])


def is_here(api: client.Api, image: str) -> bool:
    return not image.startswith(building.OURS) and bool(api.ask(f"/images/{image}/json"))


def docker_answers() -> bool:
    try:
        client.find(os.environ)
    except PantheonError:
        return False
    return True


def load_named(images: list[str], way: cluster.Way) -> None:
    """Load images of the Docker engine into the nodes, by way of a file, and show the progress."""
    label = f"load {len(images)} images into {way.kind}" if len(images) > 1 else f"load {images[0]} into {way.kind}"
    with terminal.steps() as steps, timed(steps, label), tempfile.TemporaryDirectory(dir=scratch()) as place:
        archive = Path(place) / "images.tar"
        building.save(images, archive)
        way.load(archive)

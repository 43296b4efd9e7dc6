"""Bare Debian systems in containers, by debootstrap from this machine's package source, as README.md asks for them."""

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pantheon.engines.compose.images import INSTALLER
from tests.support import ROOT

RELEASES = {"bookworm": "3.11", "trixie": "3.13"}  # Debian 12 and 13, and their Python
INSTALLED = "make,python3-venv"  # as the README says; nothing else
SOURCES = "$(LABEL)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return str(done.stdout)


def mirror() -> str:
    """Return the address of this machine's Debian archive; skips the test if it has none."""
    lines = run("apt-get", "indextargets", "--format", SOURCES, "Created-By: Packages").splitlines()
    for label, address, _, component in (line.split("|") for line in lines if line.count("|") == 3):
        if (label, component) == ("Debian", "main"):
            return address
    pytest.skip("apt has no source of Debian's main component here")


def image(release: str, folder: Path) -> str:
    """Return the image of a bare system; made once, which takes minutes."""
    name = f"pantheon-test/{release}:{INSTALLED.replace(',', '-')}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode:
        tree = folder / release
        run("debootstrap", "--variant=minbase", f"--include={INSTALLED}", release, str(tree), mirror())
        with subprocess.Popen(["tar", "-C", tree, "--numeric-owner", "-c", "."], stdout=subprocess.PIPE) as packed:
            run("docker", "import", "-", name, stdin=packed.stdout)
        assert packed.returncode == 0
        run("rm", "-r", str(tree))
    return name


def files() -> bytes:
    """Return an archive of the clone, with what is not committed yet."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in listed:
            if (ROOT / name).is_file():
                archive.add(ROOT / name, name)
    return packed.getvalue()


@dataclass
class Machine:
    """A container with a clone in it, used by one user.

    Attributes:
        variables: what this user's shell sets.
    """

    name: str
    user: str
    clone: str
    variables: dict[str, str] = field(default_factory=dict)

    def do(self, line: str) -> subprocess.CompletedProcess[str]:
        given = [word for pair in self.variables.items() for word in ("-e", "=".join(pair))]
        command = ["docker", "exec", "-u", self.user, "-w", self.clone, *given, self.name]
        return subprocess.run([*command, "sh", "-c", f"umask 077; {line}"], capture_output=True, text=True, check=False)


@contextmanager
def machine(made: str, user: str, offset: int) -> Iterator[Machine]:
    """Start a machine with the network, package index, proxy and certificates of this one."""
    home = "/root" if user == "root" else f"/home/{user}"
    here = Machine(f"pantheon-test-{uuid.uuid4().hex[:8]}", user, f"{home}/Größe und Maß/pantheon")
    here.variables = {key: os.environ[key] for key in INSTALLER if os.environ.get(key)}
    here.variables |= {"HOME": home, "LANG": "C", "PANTHEON_PORT_OFFSET": str(offset), "PANTHEON_TRIALS": "1"}
    run("docker", "run", "-d", "--init", "--network", "host", "--name", here.name, made, "sleep", "infinity")
    try:
        if user != "root":
            run("docker", "exec", here.name, "useradd", "-m", user)
        if os.environ.get("SSL_CERT_FILE"):  # what a proxy on the way signs with
            run("docker", "cp", "-L", os.environ["SSL_CERT_FILE"], f"{here.name}:/company.pem")
            run("docker", "exec", here.name, "chmod", "644", "/company.pem")
            here.variables["PANTHEON_CA"] = "/company.pem"
        run("docker", "exec", "-u", user, here.name, "mkdir", "-p", here.clone)
        unpack = ["docker", "exec", "-i", "-u", user, "-w", here.clone, here.name, "tar", "x", "--no-same-owner"]
        subprocess.run(unpack, input=files(), check=True)
        yield here
    finally:
        run("docker", "rm", "-f", here.name)

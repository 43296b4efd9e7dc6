"""A `kubectl` for tests without a cluster: `exec` runs the command on this machine, the rest answers from files."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pantheon.engines.helm.kube import Kube

PROGRAM = f"""#!{sys.executable} -S
import os, sys
from pathlib import Path
home = Path(__file__).parent
words = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if "exec" in words:
    command = words[words.index("--") + 1:]
    os.environ["PYTHONPATH"] = (home / "root").read_text()
    os.execvp(sys.executable if command[0] == "python" else command[0], command)
verb = next(word for word in words if word in ("get", "create", "delete", "patch", "logs", "version", "config"))
if verb in ("create", "patch"):
    (home / f"{{verb}}.input").write_bytes(sys.stdin.buffer.read())
kind = words[words.index(verb) + 1]
for name in (f"{{verb}}-{{kind}}", verb):
    if (home / name).exists():
        print((home / name).read_text())
        break
    if (home / f"{{name}}.error").exists():
        sys.exit((home / f"{{name}}.error").read_text())
"""


class FakeKubectl:
    """The program in ``folder``; answers are files called ``VERB-KIND`` or ``VERB``, and errors ``VERB.error``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        program = folder / "kubectl"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        (folder / "root").write_text(str(Path(__file__).parents[2]))

    def answers(self, **answers: str) -> None:
        for name, text in answers.items():
            (self.folder / name.replace("_", "-")).write_text(text)

    def fails(self, verb: str, message: str) -> None:
        (self.folder / f"{verb}.error").write_text(message)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def kube(self, more: Mapping[str, str] | None = None) -> Kube:
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return Kube("demo", "here", environment={"PATH": path, "TMPDIR": str(self.folder), **(more or {})})


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    return FakeKubectl(tmp_path / "kubectl")

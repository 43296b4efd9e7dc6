"""The command line as a user calls it, with a state folder of its own and free ports."""

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.ports import free_port_offset


@dataclass
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def message(self) -> str:
        """The one line that names cause and way out."""
        lines = [line for line in self.err.splitlines() if line.startswith("pantheon: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("pantheon: ")


@dataclass
class Pantheon:
    """``bin/pantheon`` (or make) with deployments under ``home`` and ports moved by ``offset``."""

    home: Path
    offset: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
        return clean | {"PANTHEON_HOME": str(self.home), "PANTHEON_PORT_OFFSET": str(self.offset)} | self.settings

    @property
    def state(self) -> Path:
        return self.home / "pantheon"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{8080 + self.offset}"

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 600, **given: str) -> Answer:
        return self.command([str(ROOT / "bin" / "pantheon"), *arguments], check, timeout, **given)

    def command(self, command: list[str], check: bool = True, timeout: float = 600, **given: str) -> Answer:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | given,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        answer = Answer(done.returncode, done.stdout, done.stderr)
        if check:
            assert answer.status == 0, f"{command} ended with {answer.status}\n{answer.out}\n{answer.err}"
        assert "Traceback" not in answer.err, answer.err
        return answer

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """The command in a session of its own, so that a signal to its group is a Ctrl-C."""
        return subprocess.Popen(
            [str(ROOT / "bin" / "pantheon"), *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def make_pantheon(home: Path, **settings: str) -> Pantheon:
    given = {
        "ENGINE": "local",
        **settings,
    }  # a machine with Docker would choose compose; tests/system/compose is for that
    return Pantheon(home, free_port_offset(), {f"PANTHEON_{key}": value for key, value in given.items()})


def unbuilt(folder: Path) -> Path:
    """Write a tier that is not implemented; the folder for ``PANTHEON_TIERS``."""
    (folder / "10-atlas").mkdir()
    (folder / "10-atlas" / "tier.toml").write_text(
        'name = "atlas"\ntitle = "the Atlas"\nadds = "a sky"\nstory = ""\nbuilt = false\nrunner = "graph"\n'
    )
    return folder


def sockets(processes: list[Any]) -> list[Any]:
    """Every socket of the processes (psutil); one that ends while it is looked at has none."""
    import psutil

    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found += process.net_connections(kind="inet")
    return found


def text_of(path: Path) -> str:
    """What a file says; nothing where it has just been replaced by its successor."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def assert_nothing_left(home: Path) -> None:
    """No process of a deployment under ``home`` is left: their environments name its folder, or they work in it."""
    import psutil

    left = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            named = any(str(home) in value for value in (process.cwd(), *process.environ().values()))
            if named and process.pid != os.getpid():
                left.append(process.info)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    assert left == []

"""Faults during runs of the last tier, each at every step of a run: all services killed or stopped; a full disk.

Nothing may be lost: the run ends with a model, and what was there before is still there."""

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from pantheon.workflow.run import Run
from tests.support.climb import Load, checksums, pids, versions
from tests.support.command_line import Pantheon
from tests.support.disks import fill
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.long]

FAULTS = {"kill -9": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP, "restart": signal.SIGTERM}
STEPS = {"etl": "load_data", "training": "train", "deployment": "evaluate"}  # step → its stage that runs at the fault
HEAL_SECONDS = 300.0
GRACE_SECONDS = 10.0  # from a restart's SIGTERM to its SIGKILL
FULL_SECONDS = 20.0  # that the disk stays full: long enough for every service to notice
IN_FLIGHT = 1  # predictions that are lost with the button's process


@pytest.fixture
def load(deployment: Pantheon) -> Iterator[Load]:
    with Load(deployment.page, HEAL_SECONDS) as asking:
        yield asking


def healthy(deployment: Pantheon) -> bool:
    done = deployment("status", "--json", check=False)
    return done.status == 0 and all(each["state"] in ("healthy", "completed") for each in done.json["services"])


class Going:
    """A run from the terminal, which is resumed as its message says where a fault ended it."""

    def __init__(self, deployment: Pantheon) -> None:
        self.deployment, self.lost = deployment, list[str]()
        before = {run.id for run in Run.all(deployment.state)}
        self.process = deployment.popen("run", "--json")
        self.run = until(
            lambda: next((run for run in Run.all(deployment.state) if run.id not in before), None), 60, "a new run"
        )
        self.files, self.models = checksums(deployment.state), versions(deployment)

    def reach(self, stage: str) -> None:
        """Wait until the stage has started."""
        until(lambda: stage in self.run.records() or self.process.poll() is not None, HEAL_SECONDS, f"{stage} starts")
        if stage not in self.run.records():
            self.resume()
            until(lambda: stage in self.run.records(), HEAL_SECONDS, f"{stage} starts")

    def resume(self) -> None:
        _, said = self.process.communicate()
        if "Traceback" in said or f"--resume {self.run.id}" not in said:
            self.lost.append(f"a message that says how to continue: {said}")
        until(lambda: healthy(self.deployment), HEAL_SECONDS, "all services are healthy")
        self.process = self.deployment.popen("run", "--resume", self.run.id, "--json")

    def finish(self) -> list[str]:
        """Wait for its end; return what was lost."""
        if self.process.wait(HEAL_SECONDS):
            self.resume()
        _, said = self.process.communicate(timeout=HEAL_SECONDS)
        if self.process.returncode or "Traceback" in said:
            self.lost.append(f"the run: {said}")
        until(lambda: healthy(self.deployment), HEAL_SECONDS, "all services are healthy")
        return self.lost + self.missing()

    def missing(self) -> list[str]:
        """Return which files and versions of before are missing or changed, and what the run lacks."""
        now, later = checksums(self.deployment.state), versions(self.deployment)
        kept = {name: checksum for name, checksum in self.files.items() if self.run.id not in name}
        lost = [f"the file {name}" for name, checksum in kept.items() if now.get(name) != checksum]
        lost += [f"the version {n}" for n, facts in self.models.items() if n[-1:].isdigit() and later[n] != facts]
        lost += [f"the stage {name}" for name, record in self.run.records().items() if record.state != "done"]
        lost += [f"an unfinished file {path.name}" for path in self.run.folder.rglob(".*.part")]
        if json.loads((self.run.folder / "outcome.json").read_text()).get("version") is None:
            lost.append("the new version")
        return lost


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_survives_a_fault_of_all_services_at_each_step(
    deployment: Pantheon, load: Load, fault: str, record_property: Callable[[str, object], None]
) -> None:
    """Harder than one service at a time, since none can rely on another, and eight times as fast."""
    going, hit = Going(deployment), dict[str, list[str]]()
    for step, stage in STEPS.items():
        going.reach(stage)
        services = pids(deployment)
        hit[step] = list(services)
        strike(fault, services.values())
    lost = going.finish()
    for step, names in hit.items():
        for name in names:
            predictions = [f"{len(load.lost)} predictions in flight"] if name == "button" and load.lost else []
            record_property("fault", f"{fault:10} {step:10} {name:22} {'; '.join(lost + predictions) or 'nothing'}")
    assert lost == []
    assert len(load.lost) <= IN_FLIGHT * len(STEPS), load.lost


def strike(fault: str, pids: Iterable[int]) -> None:
    """A restart ends what still runs after the grace period, as engines do: S3 waits a minute for its own servers."""
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        process.send_signal(FAULTS[fault])
    if fault == "restart":
        for process in psutil.wait_procs(processes, GRACE_SECONDS)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_a_run_survives_a_full_disk_at_each_step(
    deployment: Pantheon, load: Load, disk: Path, record_property: Callable[[str, object], None]
) -> None:
    deployment("up", "--log", "best-effort", "--no-run")  # without it, nothing is answered while nothing can be logged
    going = Going(deployment)
    for stage in STEPS.values():
        going.reach(stage)
        try:
            fill_disk(disk)
            until(lambda: "is full" in deployment("status", check=False).out, 60, "status names the full disk")
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits, or says why it ends
                going.process.wait(FULL_SECONDS)
        finally:
            for name in ("most", "filler"):
                (disk / name).unlink(missing_ok=True)
    lost = going.finish()
    for step in STEPS:
        record_property("fault", f"{'full disk':10} {step:10} {'all':22} {'; '.join(lost) or 'nothing'}")
    assert lost == []
    assert load.lost == []


def fill_disk(disk: Path) -> None:
    """Fill the disk to the last byte: most of it at once."""
    free = shutil.disk_usage(disk).free
    subprocess.run(["fallocate", "-l", str(max(free - 16 * 1024**2, 4096)), str(disk / "most")], check=True)
    fill(disk)

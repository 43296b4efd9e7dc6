"""A kind for tests: a Count has a process that writes the numbers up to ``spec.to``, one a line, after those it finds.

``python -m tests.support.kubeflow_inside.counting`` runs the service with this kind alone.
"""

import os
import sys
from pathlib import Path

import msgspec

from pantheon.errors import PantheonError
from pantheon.kubeflow import __main__ as service
from pantheon.kubeflow import contract, validation
from pantheon.kubeflow.contract import Job, Kind, Object, Refused
from pantheon.kubeflow.objects import is_true

POLL_SECONDS = 0.02
COUNT = """
import pathlib, subprocess, sys, time
file, last, pause, child = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
if child:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", child], start_new_session=True)
done = len(file.read_text().split()) if file.exists() else 0
print("from", done, flush=True)
for number in range(done + 1, last + 1):
    with file.open("a") as out:
        out.write(f"{number}\\n")
    time.sleep(pause)
print("up to", last, flush=True)
"""


class Spec(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What a Count does.

    Attributes:
        pause: seconds between two numbers.
        fail: ``known``: fails with a PantheonError, ``defect``: with another exception.
        outside: a file that the object makes and removes; its removal fails while its folder has a file ``locked``.
        child: starts a process with this word in its command line, which leaves the process group.
    """

    to: int
    pause: float = 0.0
    fail: str = ""
    outside: str = ""
    child: str = ""
    suspend: bool = False


class Counts:
    kind = Kind(
        "Count", ("tests.pantheon/v1",), "counts", ("cnt",), lambda found: {"AT": str(found["status"].get("at"))}
    )
    finished = ("Succeeded", "Failed")
    actions = ("suspend", "resume")

    def check(self, manifest: Object, old: Object | None) -> None:
        spec = validation.convert(manifest["spec"], Spec, "spec")
        if spec.to < 0:
            raise Refused("spec.to", "must not be negative.", "Use 0 or more.")
        if old and old["spec"]["to"] > spec.to:
            raise Refused("spec.to", f"was {old['spec']['to']}, and cannot become smaller.")

    def run(self, job: Job) -> None:
        spec = msgspec.convert(job.object["spec"], Spec)
        if spec.outside:
            Path(spec.outside).write_text(job.object["metadata"]["name"])
        if spec.fail == "known":
            raise PantheonError("the count was lost.", "Count again.")
        if spec.fail == "defect":
            raise ZeroDivisionError("a defect")
        if spec.suspend:
            job.condition("Suspended", True, "Asked", "It counts no further.")
            return
        job.condition("Running", True, "Started", "It counts.")
        file = job.folder / "numbers"
        command = [sys.executable, "-c", COUNT, str(file), str(spec.to), str(spec.pause), spec.child]
        process = job.process(command, job.logs / "steps" / "count.log", {"WHO": "counts"}, grace=1.0)
        while process.wait(POLL_SECONDS) is None:
            job.status(at=len(file.read_text().split()) if file.exists() else 0)
            if job.stopping.is_set():
                process.stop()
                return
        code = process.wait()
        job.status(at=len(file.read_text().split()) if file.exists() else 0, code=code)
        job.condition("Succeeded" if code == 0 else "Failed", True, "Ended", f"It ended with {code}.")

    def act(self, manifest: Object, action: str) -> Object:
        if action == "suspend" and is_true(manifest, "Succeeded"):
            raise Refused("", "the count has ended.")
        manifest["spec"]["suspend"] = action == "suspend"
        return manifest

    def clear(self, job: Job) -> None:
        if outside := job.object["spec"].get("outside"):
            if (Path(outside).parent / "locked").exists():
                raise PantheonError(f"{outside} is locked.")
            Path(outside).unlink()


if __name__ == "__main__":
    contract.CONTROLLERS.clear()
    contract.CONTROLLERS["Count"] = "tests.support.kubeflow_inside.counting:Counts"
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[3])
    sys.stderr.flush()
    service.leave(service.main())

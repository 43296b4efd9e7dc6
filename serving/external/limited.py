"""Prepare a model built elsewhere in a process with limits of time and memory: loading and asking it may never end."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow import memory
from serving.external import publish

EXHAUSTED = ("bad_alloc", "llocate memory", "MemoryError")  # in messages of libraries
SECONDS = 120
SETTING = "PUBLISH_SECONDS"  # another limit, for models that need longer


def seconds() -> float:
    """Return the limit of time.

    Raises:
        PantheonError: the setting is not a number of seconds.
    """
    text = os.environ.get(SETTING, "") or str(SECONDS)
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise PantheonError(f"{SETTING}={text} is not a number of seconds.", f"For example: {SETTING}=600")
    return int(text)


def prepare(folder: Path, bundle: Path, name: str, by: str, file: str, trust: bool) -> publish.Prepared:
    """Run ``publish.prepare`` in a process of its own.

    Raises:
        PantheonError: as ``publish.prepare``, or the model exceeded a limit or ended the process.
    """
    result = bundle.with_name("prepared.json")
    given = [str(folder), str(bundle), name, by, file, "trust" if trust else ""]
    command = [sys.executable, "-P", "-m", "serving.external.limited", str(result)]
    allowed = seconds()
    # Its standard output is ours for errors: our own is for events.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True)
    try:
        process.communicate(json.dumps(given).encode(), timeout=allowed)
    except subprocess.TimeoutExpired:
        raise PantheonError(
            f"the check of {file or 'the model'} took more than {allowed:g} s and was stopped.",
            f"Check whether the model ends for every row. If it only needs longer: {SETTING}={2 * int(allowed)}",
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not result.exists():
        raise _ended(file, process.returncode)
    found: dict[str, publish.Prepared] = json.loads(result.read_text(encoding="utf-8"))
    if "prepared" in found:
        return found["prepared"]
    raise PantheonError(**found["error"])


def _ended(file: str, status: int) -> PantheonError:
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    what = f"the check of {file or 'the model'} ended {how}: probably the model needs too much memory."
    return PantheonError(what, f"Check how much the model needs, or set {memory.SETTING}.", 1)


def _within_limits(result: Path, given: list[str]) -> None:
    folder, bundle, name, by, file, trust = given
    memory.apply()
    limit = int(seconds())
    resource.setrlimit(resource.RLIMIT_CPU, (4 * limit, 4 * limit))  # of all threads, if nobody stops this process
    try:
        found = {"prepared": publish.prepare(Path(folder), Path(bundle), name, by, file, bool(trust))}
    except (PantheonError, MemoryError) as error:
        if isinstance(error, MemoryError) or any(text in error.cause for text in EXHAUSTED):
            error = PantheonError(
                f"the model needs more memory than the check may use ({memory.allowed()}).",
                f"Check how much the model needs, or set {memory.SETTING}.",
            )
        found = {"error": {"cause": error.cause, "cure": error.cure, "status": error.status}}
    write_json(result, found)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: nobody waits for the result then."""
    while os.getppid() == parent:
        threading.Event().wait(1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _within_limits(Path(sys.argv[1]), json.load(sys.stdin))

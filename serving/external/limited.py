"""Run a function on a model built elsewhere in a process without network, with limits of time and memory.

Loading and asking a model may never end, and a pickle runs the code in it.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.workflow import memory

EXHAUSTED = ("bad_alloc", "llocate memory", "MemoryError")  # in messages of libraries
SECONDS = 120
SETTING = "PUBLISH_SECONDS"  # another limit, for models that need longer
NEW_USERS, NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)


def seconds() -> float:
    """Return the limit of time.

    Raises:
        PantheonError: the setting is not a number of seconds.
    """
    text = os.environ.get(SETTING, "") or str(SECONDS)
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise PantheonError(f"{SETTING}={text} is not a number of seconds.", f"For example: {SETTING}=600")
    return int(text)


def run(function: str, given: list[Any], folder: Path, what: str, file: str, *, bare: bool = False) -> dict[str, Any]:
    """Call ``function`` (``module:name``) with the arguments ``given``, in a process of its own.

    Args:
        folder: for the result, as ``result.json``.
        what: what it does, such as ``check``, for messages; ``file``: what people call the model.
        bare: without the variables of this process: a pickle runs code.

    Returns:
        What the function returned, as JSON.

    Raises:
        PantheonError: as the function, or it exceeded a limit or ended the process.
    """
    result = folder / "result.json"
    command = [sys.executable, "-P", "-m", "serving.external.limited", function, str(result), what]
    allowed = seconds()
    kept = ("PATH", "PYTHONPATH", "LANG", SETTING, memory.SETTING)
    environment = {key: os.environ[key] for key in kept if key in os.environ} if bare else dict(os.environ)
    if bare:  # few threads: containers limit them
        environment |= {"HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "2"}
    # Its standard output is ours for errors: our own is for events.
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
    )
    try:
        process.communicate(json.dumps(given).encode(), timeout=allowed)
    except subprocess.TimeoutExpired:
        raise PantheonError(
            f"the {what} of {file or 'the model'} took more than {allowed:g} s and was stopped.",
            f"Check whether the model ends for every row. If it only needs longer: {SETTING}={2 * int(allowed)}",
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not result.exists():
        raise _ended(what, file, process.returncode)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "returned" in found:
        returned: dict[str, Any] = found["returned"]
        return returned
    raise PantheonError(**found["error"])


def _ended(what: str, file: str, status: int) -> PantheonError:
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    text = f"the {what} of {file or 'the model'} ended {how}: probably the model needs too much memory."
    return PantheonError(text, f"Check how much the model needs, or set {memory.SETTING}.", 1)


def _within_limits(function: str, result: Path, what: str, given: list[Any]) -> None:
    memory.apply()
    limit = int(seconds())
    resource.setrlimit(resource.RLIMIT_CPU, (4 * limit, 4 * limit))  # of all threads, if nobody stops this process
    module, _, name = function.partition(":")
    try:
        found = {"returned": getattr(importlib.import_module(module), name)(*given)}
    except (PantheonError, MemoryError) as error:
        if isinstance(error, MemoryError) or any(text in error.cause for text in EXHAUSTED):
            error = PantheonError(
                f"the model needs more memory than the {what} may use ({memory.allowed()}).",
                f"Check how much the model needs, or set {memory.SETTING}.",
            )
        found = {"error": {"cause": error.cause, "cure": error.cure, "status": error.status}}
    except Exception as error:  # noqa: BLE001 - of a library, for a model that nobody foresaw
        traceback.print_exc()  # for the log
        cause = f"the {what} failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
        cure = "Export the model to ONNX yourself and publish that."
        if "libgomp" in cause:  # which no Python package brings for LightGBM
            cure = "Install the system library libgomp (Debian and Ubuntu: apt-get install libgomp1), then try again."
        found = {"error": {"cause": cause, "cure": cure, "status": 1}}
    write_json(result, found)


def _leave_network() -> None:
    """Enter a network without interfaces. Where the kernel does not allow that, containers have none already."""
    libc, uid = ctypes.CDLL(None, use_errno=True), os.geteuid()
    if libc.unshare(NEW_NETWORK) and not libc.unshare(NEW_USERS | NEW_NETWORK):
        with contextlib.suppress(OSError):
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: nobody waits for the result then."""
    while os.getppid() == parent:
        threading.Event().wait(1)
    os._exit(1)


if __name__ == "__main__":
    _leave_network()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _within_limits(sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.load(sys.stdin))

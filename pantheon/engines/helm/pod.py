"""What runs inside the pods of tasks: ``python -S -m pantheon.engines.helm.pod VERB``. Standard library only.

``wait SECONDS``
    The pod's main process. It ends when no task has run for so long; until then, the pod can run the next one.
``run``
    Runs one task, as ``kubectl exec`` starts it; see ``frames``. A task cannot outlive its command, and a pod runs one
    task at a time.
``unpack FOLDER``
    Makes folders in FOLDER the same as in the tar archive on standard input, every file whole or not at all.
"""

import fcntl
import io
import json
import os
import selectors
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pantheon.engines.helm.frames import BUSY, END, INPUT, MARK, REQUEST, SIGNAL, SILENCE_SECONDS, Frames
from pantheon.launcher import POLL_SECONDS, Task
from pantheon.processes import TAG, become_reaper, send, spawn

LOCK = Path(tempfile.gettempdir()) / "pantheon-task.lock"  # the pod's own memory
GRACE_SECONDS = 10.0  # from a signal to SIGKILL
MOST_BYTES = 1 << 20  # of input that the task has not read yet
LOOK_SECONDS = 0.5


def lock() -> int | None:
    """Take the pod's lock; None if a task holds it."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def wait(seconds: float) -> None:
    """Return when no task has run for ``seconds``; the lock stays taken, so that no task starts any more."""
    used = time.monotonic()
    while True:
        held = lock()
        if held is None:
            used = time.monotonic()
        elif time.monotonic() - used >= seconds:
            return
        else:
            os.close(held)
        time.sleep(LOOK_SECONDS)


class Served:
    """One task, and the frames that its command sends."""

    def __init__(self) -> None:
        self.frames, self.waiting, self.pipe = Frames(), b"", -1
        self.ended = False  # the input: everything was sent
        self.heard = time.monotonic()
        self.task: Task | None = None

    def receive(self, part: bytes) -> dict[str, object] | None:
        """Take what arrived; return the request, if it is in it."""
        self.heard = time.monotonic()
        request = None
        for kind, content in self.frames.feed(part):
            if kind == REQUEST:
                request = json.loads(content)
            elif kind == INPUT:
                self.waiting += content
            elif kind == END:
                self.ended = True
            elif kind == SIGNAL and self.task:
                self.task.terminate(int(content))
        return request

    def feed(self) -> None:
        """Pass waiting input on to the task, as far as it takes it."""
        try:
            while self.waiting:
                self.waiting = self.waiting[os.write(self.pipe, self.waiting) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # the task has closed its input
            self.waiting, self.ended = b"", True
        if self.ended and self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def run(self, wake: int) -> int:
        """Wait for the task and its processes; return its exit status, 128 + N for signal N."""
        assert self.task
        gone = False
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            while self.task.code is None:
                wanted = {} if gone or len(self.waiting) > MOST_BYTES else {0: selectors.EVENT_READ}
                if self.waiting and self.pipe >= 0:
                    wanted[self.pipe] = selectors.EVENT_WRITE
                for key in [key for key in selector.get_map() if key != wake and key not in wanted]:
                    selector.unregister(key)
                for key in wanted.keys() - selector.get_map().keys():
                    selector.register(key, wanted[key])
                left = min(self.task.kill_at - time.monotonic(), LOOK_SECONDS)
                for found, _ in selector.select(max(left, POLL_SECONDS)):
                    if found.fd == wake:
                        os.read(wake, 4096)
                    elif found.fd == 0 and not gone:
                        part = os.read(0, 65536)
                        gone = not part
                        self.receive(part)
                if 0 in wanted and time.monotonic() - self.heard > SILENCE_SECONDS:
                    gone = True
                if gone and self.task.kill_at == float("inf"):
                    self.task.terminate(signal.SIGTERM)
                    self.ended = True
                self.feed()
                if time.monotonic() >= self.task.kill_at:
                    send(self.task.process, signal.SIGKILL)
                self.task.reap()
        while orphans := [each for processes in self.task.family.scan({}).values() for each in processes]:
            for each in orphans:
                send(each, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
            self.task.reap()
        return self.task.code if self.task.code >= 0 else 128 - self.task.code


def run() -> int:
    served, wake = Served(), _wake()
    request = None
    while request is None:
        part = os.read(0, 65536)
        if not part:
            return 130  # the command ended before its request was complete
        request = served.receive(part)
    held = lock()
    if held is None:
        return _end(request, BUSY)
    become_reaper()
    identity = f"pod/{os.getpid()}"
    environment = {**os.environ, **request["environment"], TAG: f"{identity}/"}  # type: ignore[dict-item]
    source, served.pipe = os.pipe2(os.O_CLOEXEC) if request["input"] else (subprocess.DEVNULL, -1)
    if served.pipe >= 0:
        os.set_blocking(served.pipe, False)
    try:
        folder = str(Path.cwd())
        process = spawn(request["command"], environment, folder, 1, 2, input=source)  # type: ignore[arg-type]
    except OSError as error:
        print(f"cannot be started: {error.strerror}: {error.filename}", file=sys.stderr)
        return _end(request, 127)
    if source >= 0:
        os.close(source)
    task = served.task = Task(process, identity, GRACE_SECONDS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: task.terminate(received))
    return _end(request, served.run(wake))


def _wake() -> int:
    """Return a descriptor that can be read when a signal arrives, such as for a child that ended."""
    wake, waker = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wake


def _end(request: dict[str, object], status: int) -> int:
    sys.stdout.flush()
    print(f"\n{MARK} {request['nonce']} {status}", file=sys.stderr, flush=True)
    return status


def unpack(target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:
        members = {PurePosixPath(each.name): each for each in archive if each.isfile() or each.isdir()}
        for path, member in sorted(members.items()):
            place = target / path
            if ".." in path.parts or path.is_absolute():
                raise SystemExit(f"not a name in a folder: {path}")
            if member.isdir():
                place.mkdir(exist_ok=True)
                continue
            content = archive.extractfile(member)
            assert content
            part = place.with_name(f".{place.name}.part")
            part.write_bytes(content.read())
            part.chmod(0o644)
            part.replace(place)
        for top in {path.parts[0] for path in members}:
            for found in sorted((target / top).rglob("*"), reverse=True):
                if PurePosixPath(found.relative_to(target)) not in members:
                    with suppress(OSError):
                        found.rmdir() if found.is_dir() and not found.is_symlink() else found.unlink()


def main(verb: str, *arguments: str) -> int:
    if verb == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # pid 1 ignores it otherwise
        wait(float(arguments[0]))
    elif verb == "unpack":
        unpack(Path(arguments[0]))
    else:
        return run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""At the last tier, another user of this machine reaches no file, socket or shared memory of any service."""

from pathlib import Path

import psutil
import pytest

from tests.support import ROOT
from tests.support.climb import Climb
from tests.support.other_user import accessible, as_other, needs_root
from tests.system.climb.test_last_tier import processes

pytestmark = [needs_root, pytest.mark.timeout(1800)]
TRY = """
import socket, sys
for name in sys.stdin.read().splitlines():
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(name.replace("@", "\\0", 1))
            print(name)
        except OSError:
            pass
"""


def used(process: psutil.Process) -> set[Path]:
    """The files that a process has open or mapped."""
    found = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found.add(Path(link.readlink()))
        except OSError:
            continue
    return found | {Path(each.path) for each in process.memory_maps() if each.path.startswith("/")}


def test_another_user_reads_and_writes_no_file(climb: Climb) -> None:
    assert accessible(climb.pantheon.home) == []


def test_files_outside_the_state_folder_are_closed_too(climb: Climb) -> None:
    seen = set()
    for process in processes(climb.pantheon):
        try:
            seen |= used(process)
        except (psutil.NoSuchProcess, FileNotFoundError, psutil.AccessDenied):
            continue
    shared = {path for path in seen if path.is_relative_to("/tmp") or path.is_relative_to("/dev/shm")}
    ours = (climb.pantheon.home, ROOT)  # the clone may be below /tmp
    shared = {path for path in shared if path.is_file() and not any(path.is_relative_to(each) for each in ours)}
    script = 'while read -r name; do [ -r "$name" ] || [ -w "$name" ] && echo "$name"; done'
    names = "\n".join(map(str, shared))
    assert as_other(["sh", "-c", script], Path("/"), names) == "", names


def test_no_unix_socket_accepts_another_user(climb: Climb) -> None:
    inodes = {
        link.readlink().name
        for process in processes(climb.pantheon)
        for link in Path(f"/proc/{process.pid}/fd").glob("*")
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    names = {line[7] for line in lines if len(line) > 7 and f"socket:[{line[6]}]" in inodes}
    assert any("seaweedfs" in name for name in names), "the sockets of S3 are found"
    assert as_other(["python3", "-c", TRY], Path("/"), "\n".join(names)) == ""

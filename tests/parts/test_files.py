"""Files are written atomically, never through a planted link; the kernel frees locks."""

import json
import subprocess
import sys
from pathlib import Path

from pantheon import files
from tests.support import ROOT


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_wrote_is_removed_and_nothing_else(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from pantheon.files import atomic
with atomic(Path({str(tmp_path)!r}) / "inner" / "a") as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    process.wait()
    other = tmp_path / "inner" / ".b.1.0.part"
    other.touch()
    assert len(names(other.parent)) == 2
    files.remove_parts(tmp_path, process.pid)
    assert names(other.parent) == [other.name]


def test_scratch_folders_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from pantheon.files import scratch
with scratch(Path({str(tmp_path)!r}), ".publish-") as folder:
    (folder / "inner").mkdir()
    print(folder, flush=True)
    if input() == "die":
        os.kill(os.getpid(), signal.SIGKILL)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=-1, stdout=-1, text=True) for _ in range(2)
    ]
    killed, living = processes
    left, used = (Path(process.stdout.readline().strip()) for process in processes if process.stdout)
    killed.communicate("die\n")
    assert (left / "inner").is_dir()
    with files.scratch(tmp_path, ".publish-") as own:
        assert not left.exists()
        assert (used / "inner").is_dir()
        assert sorted(tmp_path.iterdir()) == sorted([own.parent, used.parent])
    living.communicate("end\n")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = f"""
import time
from pathlib import Path
from pantheon.files import lock
with lock(Path({str(path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    assert files.is_locked(path)
    process.kill()
    process.wait()
    process.stdout.close()
    with files.lock(path, timeout=5):
        pass


def test_it_imports_nothing_but_the_standard_library() -> None:
    script = "import json, sys, pantheon.files; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name for name in json.loads(out) if name not in sys.stdlib_module_names} <= {"__main__", "pantheon"} | {
        name for name in json.loads(out) if name.startswith("_")
    }

"""A full disk leaves no truncated bytecode behind: Python would fail at every later import of that module."""

import os
import subprocess
import sys

import pytest

IMPORTED = """
import os, sys, types
os.statvfs = lambda path: types.SimpleNamespace(f_bavail={free} // 4096, f_frsize=4096)
import pantheon
print("skips" if sys.dont_write_bytecode else "writes")
"""


@pytest.mark.parametrize(("free", "behaviour"), [(0, "skips"), (40_000_000, "skips"), (60_000_000, "writes")])
def test_bytecode_is_not_written_to_a_disk_with_less_than_50_mb(free: int, behaviour: str) -> None:
    command = [sys.executable, "-c", IMPORTED.format(free=free)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == behaviour

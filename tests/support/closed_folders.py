"""The command line with a hook that ends it when it opens or lists what services write.

Its children may, and so may engines: one of containers gives folders to the user that its services run as.
"""

import sys

from tests.support import ROOT
from tests.support.command_line import Answer, Pantheon

HOOK = """
import os, sys, traceback
from pathlib import Path

state = Path(os.environ["PANTHEON_HOME"]) / os.environ.get("PANTHEON_NAME", "pantheon")
names = ("runs", "models", "notebooks", "repositories", "data")
closed = tuple(f"{state / name}{end}" for name in names for end in ("/", ""))

def by_engine(frame):
    while frame and not frame.f_globals.get("__name__", "").startswith("pantheon."):
        frame = frame.f_back
    return bool(frame) and frame.f_globals["__name__"].startswith("pantheon.engines.")

def guard(event, arguments):
    named = event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes, os.PathLike))
    if named:
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if (path in closed or path.startswith(closed[::2])) and not by_engine(sys._getframe(1)):
            traceback.print_stack()
            os.write(2, f"OPENED {path} ({event})\\n".encode())
            os._exit(99)

sys.addaudithook(guard)
"""
COMMAND = """
sys.argv[0] = "pantheon"
from pantheon.cli.main import main
main()
"""


def guarded(made: Pantheon, *arguments: str, check: bool = True, timeout: float = 170, **given: str) -> Answer:
    """A command of ``made``, ended with status 99 when it opens what services write."""
    command = [sys.executable, "-P", "-c", HOOK + COMMAND, *arguments]
    return made.command(command, check, timeout, PYTHONPATH=str(ROOT), **given)

"""A small Python from which the launchers of processes are forked: ``python -S -P -m pantheon.kubeflow.forks``.

Standard input is a socket. Each message on it has three descriptors: a connection, the log, and the lock of the object.
The connection gets a line with a ``launcher.Request`` as JSON; its end stops the process. When the process and all its
descendants have ended, the answer is a line ``{"code": N}``, 128 + N for signal N.

A Python that is started imports the launcher for 60 ms, a fork has it already. A program of ``MODULES`` runs in a fork,
too; any other one is started as a program.
"""

import argparse  # noqa: F401 - trials import it, which takes long
import json
import os
import runpy
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

from pantheon.launcher import Request, launch, receive
from pantheon.processes import RESET, Process, bind_to_parent, read

MODULES = {("-S", "-P", "-m", "pantheon.kubeflow.trial")}
"""Arguments of Python that run here: what they import is imported, and is the standard library's."""


def main() -> None:
    control = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a launcher: it says itself how it ended
    while True:
        _, given, _, _ = socket.recv_fds(control, 1, 3)
        if not given:  # the service has ended
            return
        if not os.fork():
            control.close()
            lead(given, MODULES)
        for each in given:
            os.close(each)


def lead(given: Sequence[int], modules: Collection[tuple[str, ...]]) -> NoReturn:
    """Be a launcher, in a fork, from the request to the answer.

    Args:
        given: the connection, the log and the lock.
        modules: see ``MODULES``.
    """
    connection, log, lock = given
    try:
        os.setsid()
        _reset_signals()
        for each in given:
            os.set_inheritable(each, False)
        for number, descriptor in enumerate((connection, log, log)):
            os.dup2(descriptor, number)
        if request := receive():
            code, told = launch(request, partial(start, modules=modules, close=(connection, lock)))
            if not told:  # otherwise it ends because this process is to end
                with suppress(OSError):
                    os.write(connection, json.dumps({"code": code}).encode() + b"\n")
    except BaseException:  # noqa: BLE001 - a fork must never return to its parent's code
        traceback.print_exc()
    finally:
        os._exit(0)


def start(request: Request, modules: Collection[tuple[str, ...]], close: Sequence[int]) -> Process | None:
    """Start a program of ``modules`` in a fork of this process; return None for another one.

    Args:
        close: descriptors that it must not have.
    """
    program, *words = request["command"]
    known = next((each for each in modules if tuple(words[: len(each)]) == each), None)
    python = shutil.which(program, path=request["environment"].get("PATH"))
    if known is None or python is None:
        return None
    parent = os.getpid()
    pid = os.fork()
    if pid:
        process = read(pid)
        assert process, "nobody else reaps it"
        return process
    try:
        bind_to_parent(parent)
        os.setsid()
        _reset_signals()
        for each in close:
            os.close(each)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.executable, sys.argv = python, [known[-1], *words[len(known) :]]
        end_with(partial(_run, known[-1], request))
    finally:
        os._exit(1)


def _run(module: str, request: Request) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def end_with(work: Callable[[], object]) -> NoReturn:
    """Call ``work``, and end this process as Python does after a program."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as Python prints it
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()

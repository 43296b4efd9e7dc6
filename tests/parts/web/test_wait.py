"""Waiting for other services, as pods do before they start."""

import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from pantheon.web.wait import main, wait


def listener() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    return server


def test_it_waits_until_somebody_listens() -> None:
    with listener() as first:
        port = first.getsockname()[1]
    opened = threading.Event()

    def open_later() -> None:
        time.sleep(0.3)
        opened.set()
        servers.append(socket.create_server(("127.0.0.1", port)))

    servers: list[socket.socket] = []
    thread = threading.Thread(target=open_later)
    thread.start()
    try:
        assert wait([f"127.0.0.1:{port}"], seconds=30) == ""
        assert opened.is_set()
    finally:
        thread.join()
        for server in servers:
            server.close()


def test_it_names_what_does_not_answer() -> None:
    with listener() as there, listener() as gone:
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (there, gone)]
        gone.close()
        why = wait(addresses, seconds=0)
    assert why.startswith(f"{addresses[1]}: ")
    assert "refused" in why


def test_a_name_that_does_not_exist_yet_is_waited_for() -> None:
    """A Service may be made after the pod that needs it."""
    assert wait(["no-such-service.invalid:80"], seconds=0).startswith("no-such-service.invalid:80: ")


@pytest.mark.parametrize("arguments", [[], ["button"], ["button:http"], [":80"], ["--seconds=5"]])
def test_wrong_arguments_are_explained(arguments: list[str], capsys: Any) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_the_command_needs_nothing_but_the_standard_library() -> None:
    with listener() as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-S", "-m", "pantheon.web.wait", "--seconds=20", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{address}: ready\n"), done.stderr

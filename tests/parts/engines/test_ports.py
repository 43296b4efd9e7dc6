"""Which process uses a port, and which offset is free."""

import os
import socket
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.engines import ports


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_process_that_uses_a_port_is_described_with_pid_and_command(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        held = ports.who_holds(port)
        assert held and held.startswith(f"pid {os.getpid()} (")
        assert os.path.basename(sys.executable) in held  # noqa: PTH119
    assert ports.who_holds(port) is None


def test_a_port_is_free_while_an_old_connection_is_in_time_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = server.accept()
        connection.close()  # the server's side closes first: TIME_WAIT stays at its port
        client.close()
    assert ports.is_free(port)


def test_the_offset_avoids_ports_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        base = taken - 100 if taken > 60000 else taken
        offset = ports.free_offset([base, base + 1])
        assert offset >= 0 and offset % ports.STEP == 0
        assert taken not in (base + offset, base + 1 + offset)


@settings(max_examples=20)
@given(st.lists(st.integers(1024, 65535), min_size=1, max_size=5))
def test_all_ports_at_the_offset_are_free_and_valid_or_there_is_no_offset(wanted: list[int]) -> None:
    offset = ports.free_offset(wanted)
    assert offset == -1 or all(ports.is_free(port + offset) and port + offset <= ports.HIGHEST for port in wanted)

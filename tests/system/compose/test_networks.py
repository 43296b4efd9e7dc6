"""Containers reach no other machine and are reached only at their published ports, on 127.0.0.1."""

import ipaddress
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pantheon.engines.compose.client import Api
from tests.support.compose import Composed, docker_command
from tests.support.outside import HERE, NAME, REACH, TCP, THERE, UDP, needs_namespaces, outside, reached

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@needs_namespaces
def test_the_button_is_published_and_has_no_way_out(persephone: Composed, docker: Api, tmp_path: Path) -> None:
    (network,) = json.loads(docker_command("network", "inspect", f"{persephone.name}_front"))
    bridge = str(ipaddress.ip_network(network["IPAM"]["Config"][0]["Subnet"])[1])
    with outside(tmp_path / "received"), socket.create_server(("", 0)) as own:
        port = own.getsockname()[1]
        assert socket.create_connection((THERE, TCP), 5).recv(5) == b"hello", "this machine reaches it"
        places = [f"{THERE}:{TCP}:tcp", f"{THERE}:{UDP}:udp", f"{HERE}:{port}:tcp", f"{bridge}:{port}:tcp"]
        places += [f"{name}:80:name" for name in (socket.gethostname(), "example.com")]
        answer = docker_command("exec", f"{persephone.name}-button-1", "python", "-c", REACH, *places)
        # As in an internal network: the bridge has an address of this machine.
        assert reached(answer) == [f"{bridge}:{port}:tcp"]
        received = (tmp_path / "received").read_text().split("\n")
        assert received == ["ready", f"tcp {HERE}", ""], "nothing arrives, not even in one direction"
        (attached,) = persephone.inspect(docker, "button-port")["NetworkSettings"]["Networks"].values()
        inside = attached["IPAddress"]
        knock = [sys.executable, "-c", REACH, f"{inside}:{8080 + persephone.offset}:tcp"]
        from_outside = subprocess.run(["ip", "netns", "exec", NAME, *knock], capture_output=True, text=True, check=True)
        assert reached(from_outside.stdout) == []
    with urllib.request.urlopen(f"{persephone.page}/healthz", timeout=10) as found:
        assert found.status == 200

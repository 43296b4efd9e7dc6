"""Another machine, in a network namespace of its own, that answers on TCP and UDP and knows the way back."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

HERE, THERE = "198.51.100.1", "198.51.100.2"  # TEST-NET-2: of no network
TCP, UDP = 8000, 53
NAME = "pantheon-outside"
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip"), reason="only root can make a network namespace"
)
SERVE = """
import socket, sys, threading
tcp = socket.create_server((sys.argv[1], int(sys.argv[2])))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], int(sys.argv[3])))
def datagrams():
    while True:
        content, sender = udp.recvfrom(2000)
        print("udp", sender[0], flush=True)
        udp.sendto(content, sender)
threading.Thread(target=datagrams, daemon=True).start()
print("ready", flush=True)
while True:
    connection, sender = tcp.accept()
    print("tcp", sender[0], flush=True)
    connection.sendall(b"hello")
    connection.close()
"""
# Runs in a container: what of the given places answers, as JSON.
REACH = """
import json, socket, sys
found = {}
for place in sys.argv[1:]:
    host, port, kind = place.split(":")
    try:
        if kind == "name":
            socket.getaddrinfo(host, int(port))
            found[place] = True
        elif kind == "tcp":
            socket.create_connection((host, int(port)), 2).close()
            found[place] = True
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                asked.settimeout(2)
                asked.sendto(b"a secret", (host, int(port)))
                found[place] = bool(asked.recv(100))
    except OSError:
        found[place] = False
print(json.dumps(found))
"""


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextmanager
def outside(received: Path) -> Iterator[None]:
    """Run the machine.

    Args:
        received: the file to which it writes a line for everything that it receives: the protocol and the sender.
    """
    process = None
    try:
        ip("netns", "add", NAME)
        ip("link", "add", "pantheon-out", "type", "veth", "peer", "name", "eth0", "netns", NAME)
        ip("addr", "add", f"{HERE}/24", "dev", "pantheon-out")
        ip("link", "set", "pantheon-out", "up")
        for words in (f"addr add {THERE}/24 dev eth0", "link set eth0 up", f"route add default via {HERE}"):
            ip("-n", NAME, *words.split())
        command = ["ip", "netns", "exec", NAME, sys.executable, "-c", SERVE, THERE, str(TCP), str(UDP)]
        with received.open("w") as file:
            process = subprocess.Popen(command, stdout=file)
        until(lambda: received.read_text() == "ready\n")
        yield
    finally:
        if process:
            process.kill()
            process.wait()
        ip("link", "del", "pantheon-out", check=False)
        ip("netns", "del", NAME, check=False)


def reached(answer: str) -> list[str]:
    """Return the places that answered, from what ``REACH`` printed."""
    return sorted(place for place, found in json.loads(answer).items() if found)

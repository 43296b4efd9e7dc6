"""A real Valkey on a free port, with rows in it as Feast writes them."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hiredis

from pantheon.engines.local import environments
from serving.features.joining import Online
from serving.features.valkey import Valkey as Client
from tests.support.feast_bytes import VIEW, entity, fields
from tests.support.feature_servers import PASSWORD, Valkey


@dataclass
class Server(Valkey):
    """Valkey with rows as Feast writes them."""

    @property
    def password_file(self) -> Path:
        return self.folder.with_suffix(".password")

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an endpoint that reads it."""
        return {
            "VALKEY_HOST": "127.0.0.1",
            "VALKEY_PORT": str(self.port),
            "VALKEY_PASSWORD_FILE": str(self.password_file),
        }

    def client(self) -> Client:
        self.password_file.write_text(PASSWORD)
        return Client("127.0.0.1", self.port, self.password_file)

    def online(self) -> Online:
        return Online(self.client())

    def signal(self, number: int) -> None:
        assert self.process
        os.kill(self.process.pid, number)

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
        self.command("HSET", entity(id), *fields(values, view, moment))
        return moment


@contextmanager
def valkey(folder: Path) -> Iterator[Server]:
    environments.make(["valkey"])
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()

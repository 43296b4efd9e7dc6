"""Start and stop servers of users by the service that keeps them (``pantheon.jupyter.servers``).

JupyterHub stores nothing about a server that it needs but its address: after a restart it asks that service by the
server's name. What memory a server took when it was asked last is in its state, for the dashboard.
"""

import asyncio
import urllib.parse
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Unicode

from pantheon.web.client import Answer, Client, NoAnswer

RETRY_SECONDS = 20.0  # while the service restarts
STOPPED = 1


class KeptServers(Spawner):  # type: ignore[misc]
    """A server that another service of the deployment keeps."""

    address = Unicode("", config=True, help="The service that keeps servers")
    key_file = Unicode("", config=True, help="The file with its key")
    host = Unicode("127.0.0.1", config=True, help="The host name of servers, for JupyterHub and its proxy")
    memory = 0  # bytes

    async def ask(self, method: str, query: str = "", body: Any = None) -> Answer:
        """Send a request about this server.

        Raises:
            NoAnswer: the service does not answer.
        """
        key = Path(self.key_file).read_text(encoding="utf-8").strip()
        client = Client(self.address, "the service hub-servers", headers={"Authorization": f"Bearer {key}"})
        path = f"/servers/{urllib.parse.quote(self.user.name, safe='')}/{self.name or '-'}{query}"
        return await asyncio.to_thread(client.ask, method, path, body, retry_seconds=RETRY_SECONDS)

    async def start(self) -> tuple[str, int]:
        answer = await self.ask("PUT", body={"environment": self.get_env()})
        if not answer.ok:
            raise SpawnException(f"the server was not started: status {answer.status}", reason="Not started")
        return self.host, answer.json()["port"]

    async def poll(self) -> int | None:
        try:
            answer = await self.ask("GET")
        except NoAnswer:
            return STOPPED  # with that service, its servers end
        state = answer.json() if answer.ok else {"running": False, "status": STOPPED}
        self.memory = int(state.get("memory", 0))
        return None if state["running"] else int(state["status"] or 0)

    async def stop(self, now: bool = False) -> None:
        await self.ask("DELETE", "?now=1" if now else "")

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "memory": self.memory}

    def get_env(self) -> dict[str, str]:
        return {name: str(value) for name, value in super().get_env().items()}

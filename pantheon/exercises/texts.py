"""The texts of an exercise, with the names, addresses and commands of somebody's deployment."""

import re
from collections.abc import Callable

from pantheon.deployment.commands import complete
from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine
from pantheon.terminal import relative


class Texts:
    """Fills in texts for one deployment."""

    def __init__(self, deployment: Deployment, tier: str, engine: Engine) -> None:
        self.name, self.tier, self.state = deployment.name, tier, relative(deployment.state)
        self.address: Callable[[str], str] = lambda service: deployment.address(engine, service)

    def text(self, text: str) -> str:
        """Return a text whose commands in backquotes, addresses and folders are those of the deployment."""
        return complete(self.filled(text), self.name, self.tier)

    def command(self, command: str) -> str:
        """Return a command of a solution, for this deployment."""
        filled = self.filled(command)
        if re.search(r"[|&;<>`\n]", filled):  # more than one command for the shell: it names the deployment itself
            return filled
        return complete(f"`{filled}`", self.name, self.tier)[1:-1]

    def filled(self, text: str) -> str:
        """Replace ``{state}``, ``{name}`` and ``{address:SERVICE}``."""
        text = re.sub(r"\{address:([a-z-]+)\}", lambda match: self.address(match[1]), text)
        return text.replace("{state}", self.state).replace("{name}", self.name)

"""``destroy``: delete a deployment."""

import shutil

from pantheon.deployment.deployment import Deployment
from pantheon.engines import Engine


def destroy(deployment: Deployment, engine: Engine) -> None:
    """Stop every service, then delete the engine's files and the state folder: data, models, runs, secrets."""
    engine.destroy()
    shutil.rmtree(deployment.state)

"""JupyterLab's configuration (in JUPYTER_CONFIG_PATH). Settings that differ by machine are environment variables."""

import os
from pathlib import Path

from pantheon.jupyter import settings

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - defined by Jupyter
settings.common(c)

# Authentication: by token. It is read from a file, so that it is not in an argument or a variable, and Jupyter prints
# "..." for a token that it did not generate.
c.IdentityProvider.token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
c.ServerApp.ip = os.environ["JUPYTER_BIND"]
c.ServerApp.port = int(os.environ["JUPYTER_PORT"])
c.ServerApp.port_retries = 0  # clients only use this port
c.ServerApp.allow_remote_access = False  # reject other Host headers: prevents DNS rebinding
# `jupyter` is the name used by other containers; JUPYTER_HOSTS has names of a proxy before it, separated by commas.
c.ServerApp.local_hostnames = ["localhost", "jupyter", *filter(None, os.environ.get("JUPYTER_HOSTS", "").split(","))]

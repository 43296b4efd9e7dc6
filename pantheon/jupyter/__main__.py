"""Start JupyterLab: ``python -m pantheon.jupyter``. Its configuration is ``config/jupyter_server_config.py``."""

import os
from pathlib import Path

from pantheon.jupyter import kernel, lean


def main() -> None:
    os.environ["PATH"] = kernel.path()  # inherited by terminals and kernels
    state = Path(os.environ["STATE_DIR"])
    repository = state / "repositories" / "main"
    if os.geteuid() == 0 and repository.exists() and repository.stat().st_uid:
        from pantheon.versioning import launch  # imported only if needed: it imports much that Jupyter does not need

        os.environ.update(launch.trust(state, repository))
    lean.imports()
    from jupyterlab.labapp import LabApp  # type: ignore[import-not-found]

    # The file for opening a browser would contain the token, and this setting does not work in the configuration file.
    LabApp.initialize_server(argv=[], no_browser_open_file=True).start()


if __name__ == "__main__":
    main()

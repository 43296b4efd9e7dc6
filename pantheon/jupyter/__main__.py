"""Starts JupyterLab: ``python -m pantheon.jupyter``; ``config/jupyter_server_config.py`` says how."""

import os
from pathlib import Path

from pantheon.jupyter import kernel, lean


def main() -> None:
    os.environ["PATH"] = kernel.path()  # its terminals and kernels have it from here
    state = Path(os.environ["STATE_DIR"])
    repository = state / "repositories" / "main"
    if os.geteuid() == 0 and repository.exists() and repository.stat().st_uid:
        from pantheon.versioning import launch  # not for everybody: it brings what Jupyter needs nothing of

        os.environ.update(launch.trust(state, repository))
    lean.imports()
    from jupyterlab.labapp import LabApp  # type: ignore[import-not-found]

    # The file for opening a browser holds the token, and this setting is none of the configuration file's.
    LabApp.initialize_server(argv=[], no_browser_open_file=True).start()


if __name__ == "__main__":
    main()

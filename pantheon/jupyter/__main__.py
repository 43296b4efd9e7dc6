"""Starts JupyterLab: ``python -m pantheon.jupyter``; ``config/jupyter_server_config.py`` says how."""

import os

from pantheon.jupyter import kernel, lean


def main() -> None:
    os.environ["PATH"] = kernel.path()  # its terminals and kernels have it from here
    lean.imports()
    from jupyterlab.labapp import LabApp  # type: ignore[import-not-found]

    # The file for opening a browser holds the token, and this setting is none of the configuration file's.
    LabApp.initialize_server(argv=[], no_browser_open_file=True).start()


if __name__ == "__main__":
    main()

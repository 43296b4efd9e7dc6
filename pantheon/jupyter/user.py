"""Start the JupyterLab of one user of JupyterHub: ``python -m pantheon.jupyter.user``; see ``servers``."""

import os

from pantheon.jupyter import kernel, lean


def main() -> None:
    os.environ["PATH"] = kernel.path()  # inherited by terminals and kernels
    lean.imports()
    from jupyterhub.singleuser import main as serve

    serve()


if __name__ == "__main__":
    main()

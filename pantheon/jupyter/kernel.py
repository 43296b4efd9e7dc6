"""The one kernel: the workflow's environment."""

import json
import os
from pathlib import Path

NAME, TITLE = "pantheon", "Pantheon workflow"
ENCRYPTION = "required"  # of the kernels' sockets: without, whoever else is on this machine could read the outputs
THREADS = "2"  # as the workflow's parameters have it; `notebook.open_run` sees to runs that ask for another number


def spec(environment: str) -> dict[str, object]:
    """``kernel.json``.

    Args:
        environment: the folder of the workflow's environment.
    """
    return {
        "argv": [f"{environment}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": TITLE,
        "language": "python",
        "metadata": {"debugger": True, "supported_encryption": "curve"},
        "env": {
            "PATH": os.pathsep.join([f"{environment}/bin", os.environ.get("PATH", os.defpath)]),  # `!python` is its own
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS),
            "POLARS_MAX_THREADS": THREADS,
            "GOMP_SPINCOUNT": "1000",  # as pantheon.tasks.fix_threads
        },
    }


def write(data: Path, environment: str) -> None:
    """Write the kernel into Jupyter's data folder ``data``."""
    folder = data / "kernels" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(spec(environment), indent=1) + "\n", encoding="utf-8")

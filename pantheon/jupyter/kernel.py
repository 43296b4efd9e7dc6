"""The kernels: the workflow's environment, and PyCaret's if it is installed."""

import json
import os
from pathlib import Path

from pantheon.files import atomic

NAME, TITLE = "pantheon", "Pantheon workflow"
PYCARET = "pantheon-pycaret"
# Name -> display name, and the variable that contains the folder of the kernel's environment.
KERNELS = {NAME: (TITLE, "WORKFLOW_ENVIRONMENT"), PYCARET: ("Pantheon PyCaret", "PYCARET_ENVIRONMENT")}
ENCRYPTION = "required"  # of the kernels' sockets: otherwise other users of this machine could read the outputs
THREADS = "2"  # the default of the workflow's parameters; `notebook.open_run` handles runs with another number
PACKAGE = Path(__file__).resolve().parents[1]
COMMANDS = [str(PACKAGE / part / "bin") for part in ("versioning", "features")]  # `dvc` and `feast`


def path() -> str:
    """Return PATH for kernels and terminals, including ``dvc`` and ``feast`` for the deployment's repositories."""
    current = os.environ.get("PATH", os.defpath)
    return os.pathsep.join([*(each for each in COMMANDS if each not in current.split(os.pathsep)), current])


def spec(environment: str, title: str = TITLE) -> dict[str, object]:
    """Return the content of ``kernel.json``.

    Args:
        environment: the folder of the environment.
    """
    return {
        "argv": [f"{environment}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "metadata": {"debugger": True, "supported_encryption": "curve"},
        "env": {
            "PATH": os.pathsep.join([f"{environment}/bin", path()]),  # `!python`: this environment's
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS),
            "POLARS_MAX_THREADS": THREADS,
            "GOMP_SPINCOUNT": "1000",  # the same as in pantheon.worker.fix_threads
        },
    }


def write(data: Path) -> None:
    """Write the kernels whose environments exist into Jupyter's data folder ``data``.

    Repeated whenever Jupyter lists kernels, because PyCaret's environment may be installed while JupyterLab runs.
    """
    for name, (title, variable) in KERNELS.items():
        environment = os.environ.get(variable, "")
        if not Path(environment, "bin", "python").exists():
            continue
        file, text = data / "kernels" / name / "kernel.json", json.dumps(spec(environment, title), indent=1) + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            with atomic(file) as part:
                part.write_text(text, encoding="utf-8")

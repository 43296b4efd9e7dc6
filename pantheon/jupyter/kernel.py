"""The kernels: the workflow's environment, and PyCaret's where that is on this machine."""

import json
import os
from pathlib import Path

from pantheon.workflow.run import atomic

NAME, TITLE = "pantheon", "Pantheon workflow"
PYCARET = "pantheon-pycaret"
# Name -> what people see, and the variable that names the folder of its environment.
KERNELS = {NAME: (TITLE, "WORKFLOW_ENVIRONMENT"), PYCARET: ("Pantheon PyCaret", "PYCARET_ENVIRONMENT")}
ENCRYPTION = "required"  # of the kernels' sockets: without, whoever else is on this machine could read the outputs
THREADS = "2"  # as the workflow's parameters have it; `notebook.open_run` sees to runs that ask for another number
COMMANDS = Path(__file__).resolve().parents[1] / "versioning" / "bin"  # `dvc`, for the deployment's repository


def path() -> str:
    """PATH for kernels and terminals: with ``dvc`` for the deployment's repository."""
    there = os.environ.get("PATH", os.defpath)
    return there if str(COMMANDS) in there.split(os.pathsep) else os.pathsep.join([str(COMMANDS), there])


def spec(environment: str, title: str = TITLE) -> dict[str, object]:
    """``kernel.json``.

    Args:
        environment: the folder of the environment.
    """
    return {
        "argv": [f"{environment}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "metadata": {"debugger": True, "supported_encryption": "curve"},
        "env": {
            "PATH": os.pathsep.join([f"{environment}/bin", path()]),  # `!python` is its own, `!dvc` the deployment's
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), THREADS),
            "POLARS_MAX_THREADS": THREADS,
            "GOMP_SPINCOUNT": "1000",  # as pantheon.tasks.fix_threads
        },
    }


def write(data: Path) -> None:
    """Write the kernels whose environments are there into Jupyter's data folder ``data``.

    Done before each look at them, too: a deployment may get PyCaret's environment while JupyterLab runs.
    """
    for name, (title, variable) in KERNELS.items():
        environment = os.environ.get(variable, "")
        if not Path(environment, "bin", "python").exists():
            continue
        file, text = data / "kernels" / name / "kernel.json", json.dumps(spec(environment, title), indent=1) + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            with atomic(file) as part:
                part.write_text(text, encoding="utf-8")

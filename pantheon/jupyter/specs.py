"""JupyterLab's list of kernels. Rebuilt at every request, so that a new kernel does not need a restart."""

import os
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from pantheon.jupyter import kernel


class Specs(KernelSpecManager):
    def find_kernel_specs(self) -> dict[str, str]:
        kernel.write(Path(os.environ["JUPYTER_DATA_DIR"]))
        specs: dict[str, str] = super().find_kernel_specs()
        return specs

    def get_kernel_spec(self, kernel_name: str) -> Any:
        kernel.write(Path(os.environ["JUPYTER_DATA_DIR"]))
        return super().get_kernel_spec(kernel_name)

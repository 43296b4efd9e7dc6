"""Settings that every JupyterLab of a deployment has: the one that runs notebooks for Airflow, and those of users."""

import os
import shutil
from pathlib import Path
from typing import Any

from pantheon.jupyter import kernel


def common(c: Any) -> None:
    """Set what does not depend on who uses the server; ``c`` is Jupyter's configuration."""
    notebooks = Path(os.environ["STATE_DIR"]) / "notebooks"
    c.ServerApp.open_browser = False
    c.ServerApp.allow_root = True  # for the local engine; containers do not run as root
    c.ServerApp.log_format = "%(levelname)s %(message)s"

    # Files shown to users: their notebooks, with links to runs, models and data.
    c.ServerApp.root_dir = str(notebooks)
    c.LabApp.default_url = "/lab/tree/start_here.ipynb"
    c.FileContentsManager.delete_to_trash = False  # in a container, nobody could restore from the trash
    c.ServerApp.terminals_enabled = True
    # Not a login shell: it would reset PATH and lose `dvc`.
    c.ServerApp.terminado_settings = {"shell_command": [shutil.which("bash") or "sh"]}
    c.ServerApp.jpserver_extensions = {"jupyter_lsp": False}  # saves 9 MB; no language server is installed

    # No requests to other hosts: no news, no update checks, no list of extensions.
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    c.LabApp.extension_manager = "readonly"

    # The workflow's environment, and PyCaret's if installed. Jupyter's own Python has no packages that notebooks need.
    c.ServerApp.kernel_spec_manager_class = "pantheon.jupyter.specs.Specs"
    c.KernelSpecManager.ensure_native_kernel = False
    c.KernelSpecManager.allowed_kernelspecs = set(kernel.KERNELS)
    c.MultiKernelManager.default_kernel_name = kernel.NAME
    c.KernelManager.ip = "127.0.0.1"
    c.KernelManager.transport_encryption = kernel.ENCRYPTION

    # Notebook jobs.
    c.SchedulerApp.scheduler_class = "pantheon.jupyter.scheduler.Scheduler"
    c.SchedulerApp.environment_manager_class = "pantheon.jupyter.scheduler.Environments"
    c.Scheduler.staging_path = str(notebooks / "jobs")

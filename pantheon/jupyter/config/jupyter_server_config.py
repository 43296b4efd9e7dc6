"""JupyterLab's configuration, found by JUPYTER_CONFIG_PATH; what differs by machine is in the service's variables."""

import os
import shutil
from pathlib import Path

from pantheon.jupyter import kernel

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - Jupyter puts it there

state = Path(os.environ["STATE_DIR"])
host = os.environ["JUPYTER_BIND"]

# Who may: whoever has the token. It comes from a file, so it is in no argument and no variable, and Jupyter prints
# "..." for a token that it has not made itself.
c.IdentityProvider.token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True  # on a bare machine; in a container it is no root that runs this
c.ServerApp.ip = host
c.ServerApp.port = int(os.environ["JUPYTER_PORT"])
c.ServerApp.port_retries = 0  # another port would be another service
c.ServerApp.allow_remote_access = False  # a Host header that is not ours is refused: no DNS rebinding
c.ServerApp.local_hostnames = ["localhost", "jupyter"]  # `jupyter` is what other containers call us
c.ServerApp.log_format = "%(levelname)s %(message)s"

# What people see: their notebooks, with links to runs, models and data.
c.ServerApp.root_dir = str(state / "notebooks")
c.LabApp.default_url = "/lab/tree/start_here.ipynb"
c.FileContentsManager.delete_to_trash = False  # a container has no trash that anybody would find
c.ServerApp.terminals_enabled = True
# No login shell, which would set a PATH of its own: without `dvc`.
c.ServerApp.terminado_settings = {"shell_command": [shutil.which("bash") or "sh"]}
c.ServerApp.jpserver_extensions = {"jupyter_lsp": False}  # no language server comes with it: 9 MB for nothing

# Nothing asks other hosts: no news, no look for updates, no list of extensions.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The workflow's environment, and PyCaret's where it is there. Jupyter's own Python has nothing that a notebook needs.
c.ServerApp.kernel_spec_manager_class = "pantheon.jupyter.specs.Specs"
c.KernelSpecManager.ensure_native_kernel = False
c.KernelSpecManager.allowed_kernelspecs = set(kernel.KERNELS)
c.MultiKernelManager.default_kernel_name = kernel.NAME
c.KernelManager.ip = "127.0.0.1"
c.KernelManager.transport_encryption = kernel.ENCRYPTION

# Notebook jobs.
c.SchedulerApp.scheduler_class = "pantheon.jupyter.scheduler.Scheduler"
c.SchedulerApp.environment_manager_class = "pantheon.jupyter.scheduler.Environments"
c.Scheduler.staging_path = str(state / "notebooks" / "jobs")

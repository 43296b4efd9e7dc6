"""JupyterLab's configuration (in JUPYTER_CONFIG_PATH). Settings that differ by machine are environment variables."""

import os
import shutil
from pathlib import Path

from pantheon.jupyter import kernel

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - defined by Jupyter

state = Path(os.environ["STATE_DIR"])
host = os.environ["JUPYTER_BIND"]

# Authentication: by token. It is read from a file, so that it is not in an argument or a variable, and Jupyter prints
# "..." for a token that it did not generate.
c.IdentityProvider.token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True  # for the local engine; containers do not run as root
c.ServerApp.ip = host
c.ServerApp.port = int(os.environ["JUPYTER_PORT"])
c.ServerApp.port_retries = 0  # clients only use this port
c.ServerApp.allow_remote_access = False  # reject other Host headers: prevents DNS rebinding
c.ServerApp.local_hostnames = ["localhost", "jupyter"]  # `jupyter` is the name used by other containers
c.ServerApp.log_format = "%(levelname)s %(message)s"

# Files shown to users: their notebooks, with links to runs, models and data.
c.ServerApp.root_dir = str(state / "notebooks")
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
c.Scheduler.staging_path = str(state / "notebooks" / "jobs")

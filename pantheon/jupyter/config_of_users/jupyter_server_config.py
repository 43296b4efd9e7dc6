"""The configuration of a user's JupyterLab under JupyterHub. The Hub logs users in, and sets address and port."""

from pantheon.jupyter import settings

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - defined by Jupyter
settings.common(c)
# A kernel without connections and without work ends, so that a server that nobody looks at counts as idle.
c.MappingKernelManager.cull_interval = 60
c.MappingKernelManager.cull_idle_timeout = 2 * 60 * 60

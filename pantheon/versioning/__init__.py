"""Version data, parameters and models with git and DVC, in repositories that belong to the deployment.

``prepare`` creates them, ``record`` adds a finished run, ``checkout`` restores a version's data and parameters. It
runs in the workflow's environment (its image includes git and a separate environment for DVC).
"""

from pantheon.versioning.checkout import checkout
from pantheon.versioning.record import interrupt, line, record, step
from pantheon.versioning.repository import enabled, is_prepared, prepare, work_tree_of

__all__ = ["checkout", "enabled", "interrupt", "is_prepared", "line", "prepare", "record", "step", "work_tree_of"]

"""Data, parameters and models under version control: git and DVC, in a repository of the deployment's own.

``prepare`` makes it, ``record`` brings a finished run in, ``checkout`` brings a version's data and parameters back. All
of it works in the workflow's environment (a container has git and DVC's own environment, which is another one).
"""

from pantheon.versioning.checkout import checkout
from pantheon.versioning.record import record
from pantheon.versioning.repository import enabled, prepare
from pantheon.versioning.step import line, step

__all__ = ["checkout", "enabled", "line", "prepare", "record", "step"]

"""Where models live. One interface, ``ModelStore``; today a folder, later S3 with the same layout.

Standard library only: the serving process imports this and must stay small.
"""

from pantheon.store.base import ANY, Alias, ModelStore, Version
from pantheon.store.folder import FolderStore

__all__ = ["ANY", "Alias", "FolderStore", "ModelStore", "Version"]

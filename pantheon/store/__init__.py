"""Where models live. One interface, ``ModelStore``: a folder, or S3 with the same layout.

``open_store`` is the deployment's store, wherever that is now. Standard library only, until models lie in S3: the
serving process imports this and must stay small.
"""

from pathlib import Path

from pantheon.store.base import ModelStore
from pantheon.store.current import CurrentStore
from pantheon.store.folder import FolderStore
from pantheon.store.records import ANY, Alias, Damaged, Version

__all__ = ["ANY", "Alias", "CurrentStore", "Damaged", "FolderStore", "ModelStore", "Version", "open_store"]


def open_store(state: Path, host: bool = False, patience: float = 20.0) -> CurrentStore:
    """The model store of the deployment whose state folder is ``state``. It looks where that is at every call.

    Args:
        host: for commands of this machine, outside the services: S3 has another address for them.
        patience: seconds to try again for when S3 does not answer; 0 tries once.
    """
    return CurrentStore(state, host, patience)

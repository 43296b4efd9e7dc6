"""The model store. One interface, ``ModelStore``, with two implementations: a folder, and S3 with the same layout.

``open_store`` opens the deployment's current store. Only the standard library is imported, unless models are stored in
S3, so that the serving process stays small.
"""

from pathlib import Path

from pantheon.store.base import ModelStore
from pantheon.store.current import CurrentStore
from pantheon.store.folder import FolderStore
from pantheon.store.policies import StoredPolicy
from pantheon.store.records import ANY, Alias, Damaged, Version

__all__ = [
    "ANY",
    "Alias",
    "CurrentStore",
    "Damaged",
    "FolderStore",
    "ModelStore",
    "StoredPolicy",
    "Version",
    "open_store",
]


def open_store(state: Path, host: bool = False, retry_seconds: float = 20.0) -> CurrentStore:
    """Open the model store of the deployment whose state folder is ``state``; it follows a move of the store.

    Args:
        host: for commands on this machine, outside the services: they use another address of S3.
        retry_seconds: how long to retry if S3 does not answer; 0: do not retry.
    """
    return CurrentStore(state, host, retry_seconds)

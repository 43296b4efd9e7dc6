"""The interface of a model store as the workflow uses it. `pantheon.store` has the implementations."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class Alias(Protocol):
    """The version that an alias names."""

    @property
    def version(self) -> str: ...


class ModelStore(Protocol):
    """See ``pantheon.store.base.ModelStore`` for the methods' contracts."""

    def get(self, name: str, version: str) -> Path: ...

    def publish(self, name: str, folder: Path, metadata: Mapping[str, Any]) -> str: ...

    def alias(self, name: str, alias: str = "champion") -> Alias | None: ...

    def swap(
        self, name: str, version: str, alias: str, *, expected: str | None, by: str = "", note: str = ""
    ) -> bool: ...

    def serialised(self, name: str) -> AbstractContextManager[None]: ...

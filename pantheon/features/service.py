"""What the feature store's service works with: Feast's own ``FeatureStore``, the parts, the online store.

Only this package's service and commands import Feast, in the environment ``feast``: it takes four seconds and 200 MB.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.features import repository
from pantheon.features.definitions import Definitions
from pantheon.features.here import Here, unavailable
from pantheon.features.intervals import Intervals
from pantheon.features.keeper import Keeper
from pantheon.features.look import Look
from pantheon.features.online import Online
from pantheon.features.parts import ROOT, Parts
from pantheon.store.place import CurrentPlace


class Service:
    """What handlers work with.

    Attributes:
        here: where its files are.
        store: Feast's FeatureStore; its registry is in PostgreSQL, and it reads definitions from there.
        place: where they are stored; ``parts``: the rows of all views.
        definitions: the views and feature services in the registry.
        look: answers questions about views and their rows.
        keeper: writes and reads the online store.
    """

    def __init__(self, here: Here, store: Any) -> None:
        self.here, self.store = here, store
        self.place = CurrentPlace(here.state, ROOT)
        self.parts = Parts(self.place, here.parts)

        def path(view: str) -> Path:  # for Feast, which runs in the repository
            return Path(os.path.relpath(self.parts.glob(view), here.repository))

        self.definitions = Definitions(store, path, here.turn, self.parts.clash, self.parts.prepare)
        self.look = Look(self.definitions.views, self.definitions.services, self.parts.copies)
        online, intervals = Online(repository.valkey(), store.project), Intervals(store.registry, store.project)
        self.keeper = Keeper(here.pushed, online, self.parts, self.definitions, intervals, unavailable)

    def recover(self, say: Callable[[str], None]) -> None:
        """Bring the parts that Feast reads up to date with what is stored, after a restart or a move of the store.

        If that is not possible now, each view is brought up to date when it is used.
        """
        try:
            if moved := self.parts.gather():
                say(f"{moved:,} parts were moved from {self.place.folder} to {self.place.where}.")
            if moved := self.definitions.move():
                say(f"the paths of {moved:,} views were corrected.")
            for view in self.definitions.views():
                self.parts.ensure(view)
        except Exception as error:  # noqa: BLE001 - not a reason to end
            say(f"parts could not be checked: {unavailable(error) or type(error).__name__}: {error}")

    @classmethod
    def open(cls, here: Here) -> "Service":
        """Open Feast's store; create the registry's tables if they do not exist.

        Raises:
            Exception: PostgreSQL does not answer yet: ``unavailable`` says so.
        """
        return cls(here, repository.open_store(here.repository))

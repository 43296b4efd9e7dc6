"""What a controller gets for one object; see ``contract.Job``."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pantheon.kubeflow import disk
from pantheon.kubeflow.contract import BY, Controller, Object, Process
from pantheon.kubeflow.contract import Objects as Neighbouring
from pantheon.kubeflow.objects import Key, Store, condition, set_condition
from pantheon.kubeflow.running import GRACE_SECONDS, Running

BEGUN = ("Created", "Running")  # conditions that a power cut may undo: what has only begun begins again then


class Host(Protocol):
    """What runs the controllers: ``controllers.Manager``."""

    store: Store
    state: Path

    def controller(self, plural: str) -> Controller: ...

    def waits(self, key: Key, error: OSError) -> None: ...

    def goes_on(self, key: Key) -> None: ...

    def apply_own(self, given: Object, namespace: str, by: str, part: bool) -> Object: ...

    def delete(self, key: Key, uid: str = "") -> Object: ...


class Neighbours:
    """The other objects of a namespace; see ``contract.Objects``."""

    def __init__(self, manager: Host, namespace: str, by: str) -> None:
        self._manager, self._namespace, self._by = manager, namespace, by

    def get(self, kind: str, name: str) -> Object | None:
        return self._manager.store.get(self._key(kind, name))

    def delete(self, kind: str, name: str) -> None:
        key = self._key(kind, name)
        if self._manager.store.get(key):
            self._manager.delete(key)

    def apply(self, manifest: Object, part: bool = False) -> Object:
        return self._manager.apply_own(manifest, self._namespace, self._by, part)

    def folder(self, found: Object) -> Path:
        return self._manager.store.folder(self._key(found["kind"], found["metadata"]["name"]), found["metadata"]["uid"])

    def list(self, kind: str) -> list[Object]:
        return self._manager.store.list(self._namespace, self._manager.controller(kind).kind.plural)

    def _key(self, kind: str, name: str) -> Key:
        return Key(self._namespace, self._manager.controller(kind).kind.plural, name)


class OwnJob:
    """One object; see ``contract.Job``. Processes that were not stopped are, when the run ends."""

    def __init__(self, manager: Host, key: Key, found: Object, stopping: threading.Event) -> None:
        self._manager, self._key = manager, key
        self.object = found
        self.uid: str = found["metadata"]["uid"]
        self.state = manager.state
        self.folder = manager.store.folder(key, self.uid)
        self.logs = self.folder / "logs"
        self.tensorboard = manager.store.tensorboard(key)
        self.stopping = stopping
        by = (found["metadata"].get("annotations") or {}).get(BY, "")
        self.objects: Neighbouring = Neighbours(manager, key.namespace, by)
        self._lock = threading.Lock()
        self._processes: list[Running] = []

    def begin(self, finished: Sequence[str]) -> None:
        """Record that this generation is worked on. In the same write, what ended an earlier one is false again."""
        generation = self.object["metadata"]["generation"]

        def change(found: Object) -> None:
            new = found["status"].get("observedGeneration") != generation
            found["status"]["observedGeneration"] = generation
            for type in {*finished, "Failed", *(("Ready",) if new else ())}:
                old = condition(found, type)
                if old and old["status"] == "True":
                    set_condition(found, type, False, "Restarted", "It is worked on again.")

        self._change(change)  # lost in a power cut, it is recorded again

    def end(self) -> None:
        """Stop the processes that are left."""
        with self._lock:
            left, self._processes = self._processes, []
        for process in left:
            process.stop()

    def status(self, **fields: Any) -> None:
        self._change(lambda found: _set(found, fields))

    def condition(self, type: str, status: bool, reason: str, message: str) -> None:
        self.record((type, status, reason, message))

    def record(self, *conditions: tuple[str, bool, str, str], **fields: Any) -> None:
        def change(found: Object) -> None:
            _set(found, fields)
            for each in conditions:
                set_condition(found, *each)

        self._change(change, fsync=any(type not in BEGUN for type, *_ in conditions))

    def process(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
        grace: float = GRACE_SECONDS,
        warm: Path | None = None,
    ) -> Process:
        started = Running(command, log, environment, folder or self.folder, self.folder, grace, warm)
        with self._lock:
            self._processes = [each for each in self._processes if each.wait(0) is None]
            self._processes.append(started)
        return started

    def _change(self, change: Any, fsync: bool = False) -> None:
        changed = self._update(change, fsync)
        if changed is not None:
            with self._lock:
                self.object = {**self.object, "status": changed["status"]}

    def _update(self, change: Any, fsync: bool) -> Object | None:
        """Save a change; on a full disk, wait until there is space, unless the run is to end."""
        while True:
            try:
                changed = self._manager.store.update(self._key, self.uid, change, fsync)
            except OSError as error:
                if not disk.is_full(error) or self.stopping.is_set():
                    raise
                self._manager.waits(self._key, error)
                self.stopping.wait(disk.RETRY_SECONDS)
                continue
            self._manager.goes_on(self._key)
            return changed


def _set(found: Object, fields: Mapping[str, Any]) -> None:
    """Set fields of an object's status; None removes one."""
    status = {**found["status"], **fields}
    found["status"] = {key: value for key, value in status.items() if value is not None}

"""The objects: one JSON file each, ``objects/NAMESPACE/PLURAL/NAME.json``, and all of them in memory.

One process at a time owns the folder (a lock says so). Every change is one atomic write, checked against the version
that the writer saw, so that of two writers at once one is told to look again.
"""

import copy
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pantheon import files
from pantheon.errors import PantheonError
from pantheon.kubeflow import disk
from pantheon.kubeflow.contract import BY, Object

MOST = 5_000  # objects
TAKE_OVER_SECONDS = 60.0  # for the service before this one to end


class Key(NamedTuple):
    """Where an object is."""

    namespace: str
    plural: str
    name: str

    def __str__(self) -> str:
        return f"{self.plural}/{self.name} in {self.namespace}"


class Conflict(PantheonError):
    """The object is not as the writer saw it."""


class Missing(PantheonError):
    """There is no such object."""


class Full(PantheonError):
    """There are too many objects."""


class Store:
    """All objects below a folder. Thread-safe. What it returns are copies.

    Args:
        root: the folder; made if it is missing.

    Raises:
        files.Busy: another service still uses the folder after ``TAKE_OVER_SECONDS``.
    """

    def __init__(self, root: Path, patience: float = TAKE_OVER_SECONDS) -> None:
        self.root = root
        self.changed = threading.Condition(threading.RLock())
        self._objects: dict[Key, Object] = {}
        (root / "objects").mkdir(parents=True, exist_ok=True)
        self._owned = files.take_lock(root / ".lock", timeout=patience)
        newest = 0
        for path in sorted((root / "objects").glob("*/*/*.json")):
            if (found := _read(path)) is not None:
                self._objects[Key(path.parent.parent.name, path.parent.name, path.stem)] = found
                newest = max(newest, int(found["metadata"]["resourceVersion"]))
        # Versions of objects that were deleted before this start must not come again.
        self._version = max(newest, int(time.time() * 1000))

    def close(self) -> None:
        """Let another service use the folder."""
        os.close(self._owned)

    def __len__(self) -> int:
        return len(self._objects)

    def all_keys(self) -> list[Key]:
        """Return where every object is."""
        with self.changed:
            return [*self._objects]

    def get(self, key: Key) -> Object | None:
        """Return an object; None if there is none."""
        with self.changed:
            found = self._objects.get(key)
        return copy.deepcopy(found)

    def find(self, key: Key) -> Object:
        """Return an object.

        Raises:
            Missing: there is none.
        """
        found = self.get(key)
        if found is None:
            raise missing(key)
        return found

    def list(self, namespace: str = "", plural: str = "") -> list[Object]:
        """Return objects, oldest first; empty arguments mean all."""
        with self.changed:
            wanted = [
                found
                for key, found in self._objects.items()
                if namespace in ("", key.namespace) and plural in ("", key.plural)
            ]
        # Copied without the lock: an object is never changed, but replaced.
        wanted.sort(key=lambda found: (found["metadata"]["creationTimestamp"], found["metadata"]["name"]))
        return copy.deepcopy(wanted)

    def apply(self, key: Key, manifest: Object) -> tuple[Object, str]:
        """Create or change an object; its status stays.

        Args:
            manifest: checked. With ``metadata.resourceVersion`` or ``uid``, only an object with the same is changed.

        Returns:
            The object as stored, and ``created``, ``configured`` or ``unchanged``. The generation grows with the spec.

        Raises:
            Conflict: it has another version, or it is being deleted.
            Full: there are too many objects.
        """
        with self.changed:
            old = self._objects.get(key)
            given = manifest["metadata"]
            _compare(key, old, given)
            if old is None:
                if len(self._objects) >= MOST:
                    raise Full(f"there are {MOST:,} objects already.", "Delete some first.")
                made = self._fresh(key, manifest)
                return self._save(key, made, fsync=True), "created"
            if _said(old) == _said(manifest):
                return copy.deepcopy(old), "unchanged"
            made = copy.deepcopy(old)
            made["apiVersion"] = manifest["apiVersion"]
            for part in ("labels", "annotations"):
                made["metadata"].pop(part, None)
                if given.get(part):
                    made["metadata"][part] = copy.deepcopy(given[part])
            if old.get("spec") != manifest.get("spec"):
                made["metadata"]["generation"] += 1
                made["spec"] = copy.deepcopy(manifest.get("spec"))
            return self._save(key, made, fsync=True), "configured"

    def update(self, key: Key, uid: str, change: Callable[[Object], Any], fsync: bool = False) -> Object | None:
        """Change an object in place, such as its status.

        Args:
            uid: of the object that is meant; one of the same name that was created later is not changed.
            change: gets the object, and changes it.

        Returns:
            The object as stored; None if it was deleted.
        """
        with self.changed:
            old = self._objects.get(key)
            if old is None or old["metadata"]["uid"] != uid:
                return None
            made = copy.deepcopy(old)
            change(made)
            return copy.deepcopy(old) if made == old else self._save(key, made, fsync)

    def mark_deleted(self, key: Key, uid: str = "") -> Object:
        """Record that an object is to be deleted; return it.

        Raises:
            Missing: there is none.
        """
        with self.changed:
            found = self.find(key)
            if uid and found["metadata"]["uid"] != uid:
                raise missing(key)
            if "deletionTimestamp" in found["metadata"]:
                return found
            found["metadata"]["deletionTimestamp"] = now()
            try:
                return self._save(key, found, fsync=True)
            except OSError as error:
                if not disk.is_full(error):
                    raise
                self._objects[key] = found  # in memory only: a deletion makes space
                self.changed.notify_all()
                return copy.deepcopy(found)

    def remove(self, key: Key, uid: str) -> None:
        """Remove an object that was marked, and its empty folders."""
        with self.changed:
            found = self._objects.get(key)
            if found is None or found["metadata"]["uid"] != uid:
                return
            path = self.path(key)
            path.unlink(missing_ok=True)
            files.sync(path.parent)
            del self._objects[key]
            self._version += 1
            self.changed.notify_all()

    def path(self, key: Key) -> Path:
        """Return an object's file."""
        return self.root / "objects" / key.namespace / key.plural / f"{key.name}.json"

    def folder(self, key: Key, uid: str) -> Path:
        """Return the folder of an object's own files."""
        return self.root / "work" / key.namespace / key.plural / f"{key.name}-{uid[:8]}"

    def tensorboard(self, key: Key) -> Path:
        """Return the folder of an object's event files."""
        return self.root / "tensorboard" / key.namespace / key.plural / key.name

    def _fresh(self, key: Key, manifest: Object) -> Object:
        given = manifest["metadata"]
        metadata = {
            "name": key.name,
            "namespace": key.namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": now(),
        }
        metadata |= {part: copy.deepcopy(given[part]) for part in ("labels", "annotations") if given.get(part)}
        made = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}
        return made | {"spec": copy.deepcopy(manifest.get("spec")), "status": {}}

    def _save(self, key: Key, made: Object, fsync: bool) -> Object:
        made["metadata"]["resourceVersion"] = str(self._version + 1)
        files.write_json(self.path(key), made, mode=0o600, fsync=fsync)
        self._version += 1
        self._objects[key] = made
        self.changed.notify_all()
        return copy.deepcopy(made)


def missing(key: Key) -> Missing:
    return Missing(
        f"there is no {key.plural} {key.name!r} in the namespace {key.namespace}.",
        f"See them: `bin/pantheon get {key.plural} -A`",
        1,
    )


def now() -> str:
    """Return the time as Kubernetes writes it: UTC, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(found: Object, type: str) -> dict[str, str] | None:
    """Return a condition of an object; None if it does not have it."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == type), None)


def is_true(found: Object, type: str) -> bool:
    """Return whether an object's condition is true."""
    return (condition(found, type) or {}).get("status") == "True"


def set_condition(found: Object, type: str, status: bool, reason: str, message: str) -> None:
    """Set a condition of an object, in place."""
    text = "True" if status else "False"
    conditions = found.setdefault("status", {}).setdefault("conditions", [])
    old = condition(found, type)
    since = old["lastTransitionTime"] if old and old["status"] == text else now()
    new = {"type": type, "status": text, "reason": reason, "message": message, "lastTransitionTime": since}
    if old:
        old.update(new)
    else:
        conditions.append(new)


def _said(found: Object) -> tuple[Any, ...]:
    """Return what users say with an object; not who said it."""
    metadata = found["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != BY}
    return found["apiVersion"], found.get("spec"), metadata.get("labels") or {}, annotations


def _compare(key: Key, old: Object | None, given: dict[str, Any]) -> None:
    again = f"Look at it again: `bin/pantheon get {key.plural} {key.name} -n {key.namespace} -o yaml`"
    for part, what in (("uid", "uid"), ("resourceVersion", "version")):
        wanted = given.get(part)
        if wanted and old is None:
            raise Conflict(f"{key} does not exist any more, and the manifest names its {what}.", again, 1)
        if wanted and old and old["metadata"][part] != wanted:
            raise Conflict(f"{key} has changed since: its {what} is {old['metadata'][part]}, not {wanted}.", again, 1)
    if old and "deletionTimestamp" in old["metadata"]:
        raise Conflict(f"{key} is being deleted.", "Apply it again when it is gone.", 1)


def _read(path: Path) -> Object | None:
    """Read an object's file. A damaged one is moved aside: the others must come up."""
    try:
        found: Object = json.loads(path.read_bytes())
        metadata = found["metadata"]
        whole = (
            int(metadata["resourceVersion"]) > 0
            and metadata["generation"] > 0
            and (metadata["namespace"], metadata["name"]) == (path.parent.parent.name, path.stem)
            and all(isinstance(text, str) for text in (metadata["uid"], metadata["creationTimestamp"], found["kind"]))
            and isinstance(found["status"], dict)
        )
        if not whole:
            raise ValueError("it is not an object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        aside = path.with_suffix(".damaged")
        path.rename(aside)
        print(f"kubeflow: {aside} is damaged: {error!r}. Apply the object again.", file=sys.stderr, flush=True)
        return None
    return found


def each_condition(found: Object) -> Iterator[dict[str, str]]:
    """Yield an object's conditions."""
    yield from (found.get("status") or {}).get("conditions") or []

"""What the service does for each request: apply, list, read, delete, logs, and controllers' own actions."""

import os
import stat
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.kubeflow import logs, manifests, validation
from pantheon.kubeflow.activity import Activity
from pantheon.kubeflow.contract import ALL_NAMESPACES, BY, Controller, Object, Refused
from pantheon.kubeflow.controllers import Manager
from pantheon.kubeflow.objects import Conflict, Full, Key, Missing

MOST_LOG_BYTES = 1 << 20  # of an answer
MOST_CHANGES = 1_000  # of an answer
MOST_LOGS = 2_000  # files of one object that are listed
Query = Mapping[str, str]


class Refusal(Exception):
    """A request that is not carried out; ``body`` is the answer's JSON."""

    def __init__(self, status: int, cause: str, cure: str = "", path: str = "", **more: Any) -> None:
        super().__init__(cause)
        error = {"message": cause, "cure": cure} | ({"path": path} if path else {})
        self.status, self.body = status, {"error": error, **more}


def refusal(error: PantheonError, **more: Any) -> Refusal:
    """Return what is answered for an error."""
    status = 500
    for kind, code in ((Refused, 422), (Conflict, 409), (Missing, 404), (Full, 429), (PantheonError, 503)):
        if isinstance(error, kind):
            status = code
            break
    return Refusal(status, error.cause, error.cure, getattr(error, "path", ""), **more)


class Service:
    """Answers requests about objects. Its methods raise PantheonError or Refusal.

    Args:
        manager: has them.
        activity: records who changed what.
    """

    def __init__(self, manager: Manager, activity: Activity) -> None:
        self.manager, self.activity = manager, activity

    def apply(self, body: bytes, namespace: str, by: str) -> list[dict[str, str]]:
        """Apply manifests, all or none: none is saved if one is not valid.

        Args:
            namespace: see ``validation.manifest``.
            by: who applies them.

        Returns:
            ``{"kind", "group", "name", "namespace", "action"}`` of each; the action is created, configured or
            unchanged.
        """
        if namespace:
            validation.label(namespace, "namespace")
        given = manifests.read(body)
        if not given:
            raise Refused("", "there is no manifest.", "A manifest starts with apiVersion: and kind:")
        checked = [self._checked(given, place, namespace, by) for place in range(len(given))]
        done: list[dict[str, str]] = []
        for key, manifest in checked:
            try:
                _, action = self.manager.save(key, manifest)
            except PantheonError as error:
                raise refusal(error, applied=done) from None
            if action != "unchanged":
                self.activity.add(by, action, manifest["kind"], key.namespace, key.name)
            group = manifest["apiVersion"].partition("/")[0]
            who = {"kind": manifest["kind"], "group": group, "name": key.name, "namespace": key.namespace}
            done.append({**who, "action": action})
        return done

    def _checked(self, given: Sequence[Object], place: int, namespace: str, by: str) -> tuple[Key, Object]:
        try:
            return self.manager.check(given[place], namespace, by)
        except Refused as error:
            if len(given) == 1:
                raise
            kind, metadata = given[place].get("kind"), given[place].get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            named = " ".join(each[:60] for each in (kind, name) if isinstance(each, str))
            which = f"manifest {place + 1}{f' ({named})' if named else ''}"
            more = {"manifest": place + 1}
            raise Refusal(422, f"{which}: {error.cause}", error.cure, error.path, **more) from None

    def list(self, namespace: str, plural: str, table: bool) -> dict[str, Any]:
        """Return all objects of a kind, oldest first.

        Args:
            namespace: ``-``: of all namespaces.
            table: return rows for people instead: ``{"kind", "plural", "rows": [{"namespace", "name", "created", "by",
                "version", "columns"}]}``.
        """
        controller = self.manager.controller(plural)
        kind = controller.kind
        kept = self.manager.store.list("" if namespace == ALL_NAMESPACES else namespace, kind.plural)
        found = [self.manager.shown(each) for each in kept]
        if not table:
            return {"apiVersion": "v1", "kind": "List", "items": found}
        return {
            "kind": kind.name,
            "plural": kind.plural,
            "group": kind.group,
            "rows": [_row(controller, each) for each in found],
        }

    def get(self, key: Key, table: bool = False) -> dict[str, Any]:
        """Return an object, or its row as ``list`` does."""
        found = self.manager.shown(self.manager.store.find(key))
        return _row(self.manager.by_plural[key.plural], found) if table else found

    def delete(self, key: Key, uid: str, by: str) -> Object:
        """Delete an object, and record who wanted it."""
        found = self.manager.delete(key, uid)
        try:
            self.activity.add(by, "deleted", found["kind"], key.namespace, key.name)
        except PantheonError as error:  # a full disk: what is deleted may free it
            self.manager.say(f"{key} is deleted by {by}; {error}")
        return found

    def act(self, key: Key, action: str, by: str) -> Object:
        """Do a controller's own action, and record who wanted it."""
        found = self.manager.act(key, action, by)
        self.activity.add(by, action, found["kind"], key.namespace, key.name)
        return found

    def changes(self, namespace: str, most: str) -> dict[str, Any]:
        """Return the last changes, newest first: ``{"changes": [{"time", "by", "did", "kind", "namespace", "name"}]}``.

        Args:
            namespace: ``-``: in all namespaces.
            most: a number, up to ``MOST_CHANGES``.
        """
        if not most.isdecimal() or not most.isascii() or not 1 <= int(most[:9]) <= MOST_CHANGES:
            raise Refusal(400, f"most={most[:40]} is not a number from 1 to {MOST_CHANGES}.")
        return {"changes": self.activity.read("" if namespace == ALL_NAMESPACES else namespace, int(most))}

    def kinds(self) -> dict[str, Any]:
        """Return what kinds there are."""
        return {
            "kinds": [
                {
                    "name": each.kind.name,
                    "plural": each.kind.plural,
                    "short": each.kind.short,
                    "apiVersions": each.kind.api_versions,
                    "group": each.kind.group,
                    "actions": each.actions,
                }
                for each in self.manager.controllers.values()
            ]
        }

    def key(self, namespace: str, plural: str, name: str) -> Key:
        """Return where an object is; the kind may be named as in commands."""
        return Key(namespace, self.manager.controller(plural).kind.plural, name)

    def logs(self, key: Key) -> dict[str, Any]:
        """Return an object's logs: ``{"logs": [{"name", "bytes", "modified"}]}``, by name."""
        root = self._logs(key)
        found: list[dict[str, Any]] = []
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(folder) / name
                state = path.lstat()
                if stat.S_ISREG(state.st_mode) and len(found) < MOST_LOGS:
                    each = {"name": str(path.relative_to(root)), "bytes": state.st_size, "modified": state.st_mtime}
                    found.append(each)
        return {"logs": sorted(found, key=lambda each: str(each["name"]))}

    def log(self, key: Key, name: str, begin: int) -> tuple[bytes, int, int]:
        """Return a part of a log, its end in the file, and the size of the file.

        Args:
            begin: the first byte; negative: that many before the end.
        """
        if name not in {each["name"] for each in self.logs(key)["logs"]}:
            raise Refusal(
                404, f"{key} has no log {name[:80]!r}.", f"See them: `bin/pantheon describe {key.plural} {key.name}`"
            )
        # The processes that write there may put a link in its place.
        descriptor = os.open(self._logs(key) / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size + begin) if begin < 0 else min(begin, size)
            found, content = logs.read(descriptor, start, MOST_LOG_BYTES)
        end = found + len(content)
        if found > start:
            content = (
                f"\n… {found - start:,} bytes of this log were removed: it had become too long …\n".encode() + content
            )
        return content, end, size

    def _logs(self, key: Key) -> Path:
        uid = self.manager.store.find(key)["metadata"]["uid"]
        return self.manager.store.folder(key, uid) / "logs"


def _row(controller: Controller, found: Object) -> dict[str, Any]:
    metadata = found["metadata"]
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "created": metadata["creationTimestamp"],
        "by": (metadata.get("annotations") or {}).get(BY, ""),
        "version": metadata["resourceVersion"],
        "deleting": "deletionTimestamp" in metadata,
        "columns": controller.kind.columns(found),
    }


def query(text: str) -> Query:
    """Return the first value of each name in a query string.

    Raises:
        Refusal: it has too many.
    """
    try:
        found = urllib.parse.parse_qs(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise Refusal(400, "The query has too many fields.") from None
    return {name: values[0] for name, values in found.items()}

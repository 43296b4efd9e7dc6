"""Run controllers: one thread for each object that is not finished, from its creation to its deletion.

A thread is started for a new object, one whose spec changed, one that is to be deleted, and, when the service starts,
for each that is not finished. It ends when there is nothing to do until the object changes.
"""

import importlib
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from pantheon.errors import PantheonError, describe
from pantheon.kubeflow import disk, logs, running, validation
from pantheon.kubeflow.contract import BY, CONTROLLERS, Controller, Kind, Object, Refused
from pantheon.kubeflow.job import OwnJob
from pantheon.kubeflow.objects import Full, Key, Store, is_true, now, set_condition

FAILED = "Failed"
MOST_ACTIVE = 256  # objects that are not finished
POLL_SECONDS = 0.1  # between two looks at processes of an earlier service
MOST_OWN = 64  # more of those that other objects make: without room for a Trial, no Experiment would ever end
RETRY_SECONDS = 5.0  # between two attempts to undo what an object did
TRIM_SECONDS = 1.0  # between two looks at the sizes of logs
STOP_SECONDS = 15.0  # for all threads when the service ends


def load(paths: Mapping[str, str] = CONTROLLERS) -> dict[str, Controller]:
    """Return the controllers by kind."""
    made: dict[str, Controller] = {}
    for kind, path in paths.items():
        module, _, name = path.partition(":")
        made[kind] = getattr(importlib.import_module(module), name)()
    return made


class Manager:
    """Keeps objects and their threads. Thread-safe.

    Args:
        store: the objects.
        state: the deployment's state folder.
        controllers: by kind.
        say: called with each line for the log.
    """

    def __init__(
        self, store: Store, state: Path, controllers: Mapping[str, Controller], say: Callable[[str], None]
    ) -> None:
        self.store, self.state, self.controllers, self.say = store, state, dict(controllers), say
        self.kinds: list[Kind] = [each.kind for each in controllers.values()]
        self.by_plural = {each.kind.plural: each for each in controllers.values()}
        self.lock = threading.RLock()
        self.threads: dict[Key, Thread] = {}
        self.ended: set[Path] = set()  # folders of logs whose threads have ended since the last look at their sizes
        self.stopping = False
        self.full: dict[Key, dict[str, str]] = {}  # objects that wait for space on the disk, which cannot record it

    def start(self) -> None:
        """Continue what is not finished; requests may be answered meanwhile."""
        for key in self.store.all_keys():
            with self.lock:
                found = self.store.get(key) if key.plural in self.by_plural and key not in self.threads else None
                if found and ("deletionTimestamp" in found["metadata"] or not self.is_finished(found)):
                    self._wake(key)
        threading.Thread(target=self._trim, name="logs", daemon=True).start()

    def stop(self) -> None:
        """Have all threads return; what they did is continued by the next service."""
        with self.lock:
            self.stopping = True
            threads = list(self.threads.values())
        for thread in threads:
            thread.stopping.set()
        end = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0.0))
            if thread.is_alive():
                self.say(f"{thread.key} did not stop in time.")

    def controller(self, plural: str) -> Controller:
        """Return the controller of a kind, by its plural, name, or abbreviation, whatever their case.

        Raises:
            Refused: there is no such kind.
        """
        wanted = plural.lower()
        for each in self.controllers.values():
            kind = each.kind
            if wanted in (kind.plural, kind.name.lower(), *kind.short, f"{kind.plural}.{kind.group}"):
                return each
        called = [name for each in self.kinds for name in (each.plural, each.name, *each.short)]
        known = validation.listed(each.plural for each in self.kinds)
        cure = validation.hint(plural, called) or f"Kinds: {known}."
        raise Refused("", f"there is no kind {plural[:60]!r} here.", cure)

    def check(self, given: Object, namespace: str = "", by: str = "") -> tuple[Key, Object]:
        """Check a manifest, without side effects.

        Args:
            by: who applies it; recorded. Without it, the manifest's own record or that of the object stays.

        Raises:
            Refused: it is not valid.
        """
        kind, manifest = validation.manifest(given, self.kinds, namespace)
        metadata = manifest["metadata"]
        key = Key(metadata["namespace"], kind.plural, metadata["name"])
        old = self.store.get(key)
        annotations = dict(metadata.get("annotations") or {})
        annotations.pop(BY, None)
        before = ((old or {}).get("metadata") or {}).get("annotations") or {}
        if by or BY in before:
            annotations[BY] = by or before[BY]
        if annotations:
            metadata["annotations"] = annotations
        self.controllers[kind.name].check(manifest, old)
        return key, manifest

    def save(self, key: Key, manifest: Object, most: int | None = MOST_ACTIVE) -> tuple[Object, str]:
        """Save a checked manifest and have its controller make it true; see ``Store.apply``.

        Args:
            most: objects that are not finished, before a new one; None: any number.

        Raises:
            Full: too many objects are not finished.
            PantheonError: as ``Store.apply``; or the service is stopping.
        """
        with self.lock:
            if self.stopping:
                raise PantheonError("the service is stopping.", "Try again in a moment.", 1)
            if most is not None and key not in self.threads and len(self.threads) >= most:
                raise Full(
                    f"{len(self.threads)} objects are not finished, and the limit is {MOST_ACTIVE}.",
                    "Wait until some end, or delete some.",
                    1,
                )
            before = self.store.get(key)
            saved, action = self.store.apply(key, manifest)
            if action == "created" or (before and before["metadata"]["generation"] != saved["metadata"]["generation"]):
                self._wake(key)
            return saved, action

    def apply(self, given: Object, namespace: str = "", by: str = "") -> tuple[Object, str]:
        """``check`` and ``save`` one manifest."""
        key, manifest = self.check(given, namespace, by)
        return self.save(key, manifest)

    def apply_own(self, given: Object, namespace: str, by: str, part: bool) -> Object:
        """Apply a manifest of another object; see ``contract.Objects.apply``."""
        key, manifest = self.check(given, namespace, by)
        return self.save(key, manifest, None if part else MOST_ACTIVE + MOST_OWN)[0]

    def act(self, key: Key, action: str, by: str = "") -> Object:
        """Do one of a controller's own actions, such as ``suspend``.

        Raises:
            Refused: the controller has no such action, or the object does not allow it.
            Missing: there is no such object.
        """
        controller = self.by_plural[key.plural]
        if action not in controller.actions:
            cure = f"Actions: {', '.join(controller.actions)}." if controller.actions else controller.kind.no_action
            raise Refused("", f"{key.plural} have no action {action[:60]!r}.", cure)
        with self.lock:
            changed = controller.act(self.store.find(key), action)
            changed["metadata"].pop("resourceVersion", None)  # its status may change meanwhile
            return self.apply(changed, key.namespace, by)[0]

    def delete(self, key: Key, uid: str = "") -> Object:
        """Delete an object, as soon as its controller has stopped it.

        Raises:
            Missing: there is none.
        """
        with self.lock:
            found = self.store.mark_deleted(key, uid)
            self._wake(key)
            return found

    def is_finished(self, found: Object) -> bool:
        """Return whether an object is finished: its controller has nothing to do until its spec changes."""
        if found["status"].get("observedGeneration") != found["metadata"]["generation"]:
            return False
        controller = self.controllers[found["kind"]]
        return any(is_true(found, type) for type in controller.finished)

    def shown(self, found: Object) -> Object:
        """Return an object as users see it: with the condition that it waits for space on the disk, if it does."""
        metadata = found["metadata"]
        plural = self.controllers[found["kind"]].kind.plural
        if waiting := self.full.get(Key(metadata["namespace"], plural, metadata["name"])):
            found["status"].setdefault("conditions", []).append(waiting)
        return found

    def waits(self, key: Key, error: OSError) -> None:
        """Record that an object waits for space on the disk."""
        if key not in self.full:
            message = f"{describe(error).cause} It goes on by itself when there is space."
            self.say(f"{key}: {message}")
            self.full[key] = {"type": "Waiting", "status": "True", "reason": "DiskFull", "message": message}
            self.full[key]["lastTransitionTime"] = now()

    def goes_on(self, key: Key) -> None:
        """Record that an object has space again."""
        if self.full.pop(key, None):
            self.say(f"{key}: there is space on the disk again.")

    def _trim(self) -> None:
        said = ""
        while not self.stopping:
            time.sleep(TRIM_SECONDS)
            with self.lock:
                folders = {thread.logs for thread in self.threads.values() if thread.logs} | self.ended
                self.ended = set()
            for folder in folders:
                try:
                    logs.trim(folder)
                except OSError as error:
                    if said != str(error):
                        said = str(error)
                        self.say(f"logs in {folder} cannot be shortened: {said}.")

    def _wake(self, key: Key) -> None:
        with self.lock:
            thread = self.threads.get(key)
            if thread is None:
                if not self.stopping:
                    self.threads[key] = Thread(self, key)
                    self.threads[key].start()
            else:
                thread.again = True
                thread.stopping.set()


class Thread(threading.Thread):
    """Works on one object until there is nothing to do.

    Attributes:
        logs: the folder of the object's logs.
        again: whether the object changed since the last look; guarded by the manager's lock.
        stopping: for the controller's current run.
    """

    def __init__(self, manager: Manager, key: Key) -> None:
        super().__init__(name=f"{key.plural}/{key.name}", daemon=True)
        self.logs: Path | None = None
        self.manager, self.key, self.again = manager, key, True
        self.stopping = threading.Event()

    def run(self) -> None:
        manager = self.manager
        while True:
            with manager.lock:
                if manager.stopping or not self.again:
                    del manager.threads[self.key]
                    if self.logs:
                        manager.ended.add(self.logs)
                    return
                self.again = False
                self.stopping.clear()
            try:
                self.work()
            except Exception as error:  # noqa: BLE001 - such as a full disk: other objects go on
                if disk.is_full(error):
                    assert isinstance(error, OSError)
                    manager.waits(self.key, error)
                else:
                    traceback.print_exc(file=sys.stderr)
                self.stopping.wait(disk.RETRY_SECONDS if disk.is_full(error) else RETRY_SECONDS)
                with manager.lock:
                    self.again = True

    def work(self) -> None:
        found = self.manager.store.get(self.key)
        if found is None:
            self.manager.full.pop(self.key, None)
            return
        controller = self.manager.by_plural[self.key.plural]
        job = OwnJob(self.manager, self.key, found, self.stopping)
        job.logs.mkdir(parents=True, exist_ok=True)
        self.logs = job.logs
        if self.key in self.manager.full and "deletionTimestamp" not in found["metadata"]:
            disk.check(job.folder)
            self.manager.goes_on(self.key)
        while running.in_use(job.folder):  # of a service that was killed: they are ending
            if self.stopping.wait(POLL_SECONDS):
                return
        if "deletionTimestamp" in found["metadata"]:
            self.end(controller, job)
        elif not self.manager.is_finished(found):
            self.control(controller, job)

    def control(self, controller: Controller, job: OwnJob) -> None:
        job.begin(controller.finished)
        try:
            controller.run(job)
        except PantheonError as error:
            self.fail(job, "Refused" if isinstance(error, Refused) else "Failed", str(error))
        except Exception as error:
            if disk.is_full(error):
                raise
            traceback.print_exc(file=sys.stderr)
            self.fail(job, "Defect", f"{type(error).__name__}: {error}")
        finally:
            job.end()

    def fail(self, job: OwnJob, reason: str, message: str) -> None:
        self.manager.say(f"{self.key}: {message}")
        if not self.stopping.is_set():  # otherwise it may have failed because it was stopped
            job.condition(FAILED, True, reason, message)

    def end(self, controller: Controller, job: OwnJob) -> None:
        """Undo what a deleted object did, and remove its files; try again until that works."""
        while True:
            try:
                controller.clear(job)
                break
            except Exception as error:
                if not isinstance(error, PantheonError) and not disk.is_full(error):
                    traceback.print_exc(file=sys.stderr)
                if disk.is_full(error):
                    raise
                message = f"It could not be deleted yet: {error}"
                self.manager.say(f"{self.key}: {message}")
                uid = job.uid

                def note(found: Object, message: str = message) -> None:
                    set_condition(found, "Deleted", False, "Waiting", message)

                self.manager.store.update(self.key, uid, note)
                if self.stopping.wait(RETRY_SECONDS) and self.manager.stopping:
                    return
                self.stopping.clear()
        for folder in (job.folder, job.tensorboard):
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
        self.manager.store.remove(self.key, job.uid)

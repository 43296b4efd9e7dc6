"""What the service ``kubeflow`` and the controllers of its kinds agree on.

An object is a dict as Kubernetes has it in JSON: ``apiVersion``, ``kind``, ``metadata`` (``name``, ``namespace``,
``uid``, ``resourceVersion``, ``generation``, ``creationTimestamp``, ``labels``, ``annotations``; ``pantheon/by`` names
who applied it), ``spec``, and ``status`` with ``conditions`` of ``type``, ``status`` ("True" or "False"), ``reason``,
``message`` and ``lastTransitionTime``. The service keeps it; a controller of its kind makes it true.

This module imports no library, so that every environment can read it. A controller's module must be light to import,
too (the service imports each for its columns): it imports Optuna, kfp and the like in functions, or uses them in
processes of their own (``Job.process``).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pantheon.errors import PantheonError

Object = dict[str, Any]

BY = "pantheon/by"  # the annotation with the name of the user who applied the object
DEFAULT_NAMESPACE = "default"
ALL_NAMESPACES = "-"  # in addresses of the API
USER_HEADER = "x-pantheon-user"  # for whom a trusted service asks

CONTROLLERS: dict[str, str] = {
    "Experiment": "pantheon.kubeflow.katib.controller:Experiments",
    "InferenceService": "pantheon.kubeflow.inference.controller:InferenceServices",
    "Pipeline": "pantheon.kubeflow.pipelines.controller:Pipelines",
    "PipelineVersion": "pantheon.kubeflow.pipelines.controller:PipelineVersions",
    "PipelineRun": "pantheon.kubeflow.pipelines.controller:PipelineRuns",
    "RecurringRun": "pantheon.kubeflow.pipelines.recurring:RecurringRuns",
    "TrainJob": "pantheon.kubeflow.trainer.controller:TrainJobs",
    "Trial": "pantheon.kubeflow.katib.trials:Trials",
}
"""Kind → the class of its controller, which is imported on first use and made once, without arguments."""


class Refused(PantheonError):
    """A manifest that is not valid.

    Args:
        path: of the field, such as ``spec.parameters[1].feasibleSpace.max``; empty: the manifest as a whole.
        cause: what is wrong with it, as the end of a sentence: ``must be a number, not text.``
        cure: what to do about it.
    """

    def __init__(self, path: str, cause: str, cure: str = "") -> None:
        super().__init__(f"{path}: {cause}" if path else cause, cure)
        self.path = path


def no_columns(_: Object) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Kind:
    """A kind of objects.

    Attributes:
        name: such as ``Experiment``.
        api_versions: the values of ``apiVersion`` that are taken, the preferred one first.
        plural: in addresses and commands, such as ``experiments``.
        short: abbreviations for commands, such as ``exp``.
        columns: returns the columns of `bin/pantheon get` for an object, title → text; NAME and AGE are added.
        no_action: what to do in the place of an action, for a kind that has none.
    """

    name: str
    api_versions: tuple[str, ...]
    plural: str
    short: tuple[str, ...] = ()
    columns: Callable[[Object], dict[str, str]] = no_columns
    no_action: str = ""

    @property
    def group(self) -> str:
        """The part of the API's version before the slash, such as ``kubeflow.org``."""
        return self.api_versions[0].partition("/")[0]


class Process(Protocol):
    """A process of an object: the leader of a process group, under ``pantheon.launcher``.

    Attributes:
        lost: it has ended because its launcher was killed, or the warm Python that it was forked from ended.
    """

    lost: bool

    def fileno(self) -> int:
        """The descriptor that can be read when the process has ended."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status (128 + N for signal N); None if it still runs after ``timeout`` seconds."""

    def stop(self) -> int:
        """Send SIGTERM, after its grace period SIGKILL to it and all its descendants; return the exit status."""


class Objects(Protocol):
    """The other objects in the namespace of a job."""

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object; None if there is none."""

    def list(self, kind: str) -> list[Object]:
        """Return all objects of a kind, oldest first."""

    def apply(self, manifest: Object, part: bool = False) -> Object:
        """Create or change an object, as the owner of the job; return it.

        Args:
            part: it does the work of this object, and so does not count as another one that is not finished.

        Raises:
            Refused: the manifest is not valid.
        """

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it exists; its controller may need a while to stop it."""

    def folder(self, found: Object) -> Path:
        """Return the folder of an object's own files: its ``Job.folder``."""


class Job(Protocol):
    """One object as its controller sees it.

    Attributes:
        object: the object as it is now, with the spec of the generation for which ``run`` was called. Do not change it.
        state: the deployment's state folder.
        folder: the object's own files; they stay until it is deleted.
        logs: ``folder/logs``: every file below it can be read by users as a log of the object. The middle of a long
            ``*.log`` directly in it is removed (``pantheon.kubeflow.logs``).
        tensorboard: the folder for event files of TensorBoard; made by who writes there.
        stopping: set if the service stops, the object is deleted, or its spec has changed: return soon.
        objects: other objects of this namespace.
    """

    object: Object
    state: Path
    folder: Path
    logs: Path
    tensorboard: Path
    stopping: threading.Event
    objects: Objects

    def status(self, **fields: Any) -> None:
        """Set fields of the object's status, and save it; None removes a field. Does nothing after a deletion."""

    def condition(self, type: str, status: bool, reason: str, message: str) -> None:
        """Set a condition; its ``lastTransitionTime`` changes only with ``status``.

        Args:
            reason: one CamelCase word.
            message: a sentence for people.
        """

    def record(self, *conditions: tuple[str, bool, str, str], **fields: Any) -> None:
        """Set several conditions, each as for ``condition``, and fields, as for ``status``, in one write."""

    def process(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
        grace: float = 6.0,
        warm: Path | None = None,
    ) -> Process:
        """Start a process that ends with the service at the latest; after a restart, the controller starts it again.

        Args:
            log: its output is appended there; below ``logs``.
            environment: its variables, besides ``PATH``, ``PYTHONPATH``, the locale, the time zone and the
                deployment's tag; for a stage of the workflow, pass ``os.environ``.
            folder: its working directory; default: ``folder``.
            grace: seconds from SIGTERM to SIGKILL when it is stopped, or the service ends.
            warm: the folder with the socket of a warm Python (``pipelines.interpreter``), which runs what it knows in a
                fork; without one, or for another program, the process is started.

        Raises:
            PantheonError: the program does not exist.
        """


class Controller(Protocol):
    """Makes objects of one kind true. One instance serves all objects of the kind, from several threads.

    Attributes:
        kind: its kind.
        finished: the types of conditions that end an object if they are true, such as ``("Succeeded", "Failed")``;
            empty: an object is never finished, and ``run`` is called again after each restart.
        actions: what ``act`` knows, such as ``("suspend", "resume")``.
    """

    kind: Kind
    finished: tuple[str, ...]
    actions: tuple[str, ...]

    def check(self, manifest: Object, old: Object | None) -> None:
        """Check a manifest, with its ``metadata`` complete, before it is saved. Has no side effects.

        Args:
            old: the object with the same name, if there is one.

        Raises:
            Refused: it is not valid, or ``old`` may not change this way.
        """

    def run(self, job: Job) -> None:
        """Make an object true, in a thread of its own.

        Called for a new object, for one whose spec has changed (``finished`` conditions are false again), and after a
        restart of the service for one that is not finished: it then continues from ``job.folder`` and the status.
        Return when the object is finished (then a ``finished`` condition is true), when there is nothing to do until
        its spec changes, or when ``job.stopping`` is set, with all processes stopped. A PantheonError, and any other
        exception, becomes the condition ``Failed``.
        """

    def act(self, manifest: Object, action: str) -> Object:
        """Return the manifest changed as an action asks: ``suspend`` sets ``spec.suspend``. It is then applied.

        Raises:
            Refused: the object's state does not allow it.
        """

    def clear(self, job: Job) -> None:
        """Undo what is outside of ``job.folder`` and ``job.tensorboard``, after ``run`` of a deleted object."""

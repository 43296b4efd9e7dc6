"""``pantheon apply | get | describe | suspend | resume | delete``: Kubeflow's objects, with kubectl's manners."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json, Name, running
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.kubeflow.client import Kubeflow

Files = Annotated[
    list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="a YAML or JSON file, a folder, or -")
]
KindName = Annotated[str, typer.Argument(metavar="KIND", help="experiment, trainjob, inferenceservice …; or KIND/NAME")]
ObjectName = Annotated[str, typer.Argument(metavar="NAME", help="the object's name; default: all")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="the namespace, which is a profile")]
All = Annotated[bool, typer.Option("--all-namespaces", "-A", help="of all namespaces")]
Suspended = Annotated[
    str, typer.Argument(metavar="KIND", help="trainjob, recurringrun, or pipelinerun to resume; or KIND/NAME")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="the names")]
POLL_SECONDS = 1.0


def apply(
    paths: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="the same as -f FILE")] = None,
    files: Files = None,
    namespace: Namespace = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Create or change objects of Kubeflow: ``pantheon apply -f experiment.yaml``.

    A TrainJob or RecurringRun with ``suspend: true`` in its spec stops, and goes on when it is applied with ``false``;
    ``pantheon suspend`` and ``pantheon resume`` do the same.
    """
    from pantheon import terminal
    from pantheon.deployment import kubeflow
    from pantheon.kubeflow.client import Failed

    files = [*(paths or []), *(files or [])]
    if not files:
        raise PantheonError("no file is named.", "Use `bin/pantheon apply -f FILE`, or -f - for standard input.")
    client, given = _client(name, "apply"), kubeflow.read(files)
    try:
        done = client.apply(given, namespace)
    except Failed as error:
        for each in error.applied:  # before a conflict
            _line(f"{_named(each)} {each['action']}")
        raise
    if as_json:
        terminal.print_json(done)
        return
    for each in done:
        _line(f"{_named(each)} {each['action']}")


def get(
    kind: KindName,
    object: ObjectName = "",
    namespace: Namespace = "default",
    everywhere: All = False,
    output: Annotated[str, typer.Option("--output", "-o", help="wide, yaml, json or name")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="print changes until Ctrl-C")] = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show objects of Kubeflow: ``pantheon get experiments``."""
    from pantheon.cli import object_views
    from pantheon.deployment import kubeflow
    from pantheon.kubeflow.contract import ALL_NAMESPACES

    output = "json" if as_json else output
    if output not in ("", "wide", "yaml", "json", "name"):
        raise PantheonError(f"there is no output {output!r}.", "Use -o wide, yaml, json or name.")
    kind, names = kubeflow.split(kind, [object] if object else [])
    object = names[0] if names else ""
    if object and everywhere:
        raise PantheonError("a name is not looked up in all namespaces.", "Leave out -A, or the name.")
    client = _client(name, "get")
    where = ALL_NAMESPACES if everywhere else namespace
    if output in ("yaml", "json"):
        if watch:
            raise PantheonError("changes are only printed as a table.", "Leave out -w, or -o.")
        every: dict[str, Any] = {"apiVersion": "v1", "kind": "List"}
        found = client.get(kind, object, namespace) if object else {**every, "items": client.list(kind, where)}
        object_views.print_object(found, output)
        return
    shown = object_views.Table(output, everywhere)
    rows = client.table(kind, object, where)["rows"]
    if not rows and not watch:
        sys.stderr.write("No resources found.\n" if everywhere else f"No resources found in {namespace} namespace.\n")
        return
    shown.show(rows)
    while watch:
        time.sleep(POLL_SECONDS)
        shown.show(client.table(kind, object, where)["rows"])


def describe(
    kind: KindName,
    object: ObjectName = "",
    namespace: Namespace = "default",
    log: Annotated[str, typer.Option("--log", help="print this log of the object")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="with --log: go on until Ctrl-C")] = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show everything about an object of Kubeflow: spec, status, conditions and logs."""
    from pantheon.cli import object_views
    from pantheon.deployment import kubeflow

    kind, names = kubeflow.split(kind, [object] if object else [])
    if not names:
        raise PantheonError("no name is given.", f"Names: `bin/pantheon get {kind} -A`")
    client = _client(name, "describe")
    if not log:
        found = client.get(kind, names[0], namespace)
        object_views.describe(found, client.logs(kind, names[0], namespace), as_json)
        return
    end = 0
    while True:
        content, after = client.log(kind, names[0], log, end, namespace)
        object_views.print_log(content)
        if not content and not follow:
            return
        if not content:
            time.sleep(POLL_SECONDS)
        end = after


def suspend(
    kind: Suspended,
    objects: Names = None,
    namespace: Namespace = "default",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Stop a TrainJob or RecurringRun of Kubeflow until it is resumed: it sets ``spec.suspend``.

    The nodes of a TrainJob end, and their checkpoints stay. Runs of pipelines: ``pantheon pipeline stop``. Katib
    cannot suspend Experiments: with a lower ``parallelTrialCount``, fewer trials run at once.
    """
    _act(name, kind, objects, "suspend", "suspended", namespace, as_json)


def resume(
    kind: Suspended,
    objects: Names = None,
    namespace: Namespace = "default",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Have a TrainJob or RecurringRun go on that was suspended, or a pipeline's run that was stopped."""
    _act(name, kind, objects, "resume", "resumed", namespace, as_json)


def _act(
    name: str, kind: str, objects: list[str] | None, action: str, done: str, namespace: str, as_json: bool
) -> None:
    from pantheon import terminal
    from pantheon.deployment import kubeflow

    kind, names = kubeflow.split(kind, objects or [])
    if not names:
        raise PantheonError("no name is given.", f"Names: `bin/pantheon get {kind} -A`")
    client = _client(name, action)
    changed = []
    for each in names:
        found = client.act(kind, each, action, namespace)
        group = found["apiVersion"].partition("/")[0]
        changed.append({"kind": found["kind"], "group": group, "name": each, "namespace": namespace, "action": done})
        if not as_json:
            _line(f"{_named(changed[-1])} {done}")
    if as_json:
        terminal.print_json(changed)


def delete(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="experiment, trainjob …; or KIND/NAME")] = "",
    objects: Names = None,
    files: Files = None,
    namespace: Namespace = "",
    ignore: Annotated[bool, typer.Option("--ignore-not-found", help="succeed if there is none")] = False,
    wait: Annotated[bool, typer.Option(help="wait until it is gone")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="seconds to wait")] = 60.0,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Delete objects of Kubeflow, with what they did: ``pantheon delete experiment random``."""
    from pantheon import terminal
    from pantheon.deployment import kubeflow
    from pantheon.kubeflow.client import Failed

    if bool(files) == bool(kind):
        raise PantheonError("name objects, or files.", "Use `bin/pantheon delete KIND NAME`, or -f FILE.")
    kind, names = kubeflow.split(kind, objects or [])
    if kind and not names:
        raise PantheonError("no name is given.", f"Names: `bin/pantheon get {kind} -A`")
    client = _client(name, "delete")
    targets = [(kind, each, namespace or "default") for each in names]
    targets += _targets(kubeflow.read(files), namespace) if files else []
    gone, failed = [], None
    for target in targets:
        try:
            found = client.delete(*target)
        except Failed as error:
            if error.code != 404:
                raise
            failed = None if ignore else error
            continue
        group = found["apiVersion"].partition("/")[0]
        gone.append({"kind": found["kind"], "group": group, "name": target[1], "namespace": target[2]})
        if not as_json:
            _line(f'{found["kind"].lower()}.{group} "{target[1]}" deleted')
        if wait and not client.gone(target[0], found, timeout):
            raise PantheonError(
                f"{target[0]}/{target[1]} is still being deleted after {timeout:g} s.",
                f"See why: `bin/pantheon describe {target[0]} {target[1]} -n {target[2]}`",
                1,
            )
    if as_json:
        terminal.print_json(gone)
    if failed:
        raise failed


def _targets(given: bytes, namespace: str) -> list[tuple[str, str, str]]:
    """Return kind, name and namespace of each manifest."""
    from pantheon.kubeflow import manifests, validation

    found = []
    for each in manifests.read(given):
        metadata = validation.mapping(each.get("metadata"), "metadata")
        kind, called = validation.text(each, "kind", ""), validation.text(metadata, "name", "metadata")
        found.append((kind, called, namespace or metadata.get("namespace") or "default"))
    return found


def _client(name: str, verb: str) -> "Kubeflow":
    from pantheon.deployment import kubeflow

    deployment, _, engine = running(name, "", verb)
    return kubeflow.client(deployment, engine)


def _named(each: dict[str, Any]) -> str:
    return f"{each['kind'].lower()}.{each['group']}/{each['name']}"


def _line(text: str) -> None:
    from pantheon.terminal import printable

    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()

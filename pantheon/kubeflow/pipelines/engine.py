"""Runs a compiled pipeline step by step, with the parts of ``kfp.local``.

``kfp.local`` runs the steps of a scope one after the other, forgets them when its process ends, prints into one
stream, and evaluates conditions with ``eval``. So the walk through the scopes is here: every step starts as soon as
those that it needs have ended. What a step gets and what it returns, and the cache are ``kfp.local``'s.
"""

import contextlib
import json
import queue
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from kfp.local import io
from kfp.local.executor_output_utils import pb2_value_to_python
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from pantheon.errors import PantheonError
from pantheon.kubeflow.pipelines import conditions
from pantheon.kubeflow.pipelines.definition import ALWAYS, Definition, is_final, needs
from pantheon.kubeflow.pipelines.records import Records, Step

Outputs = dict[str, Any]
GROUPS = re.compile(r"(exit-handler|condition|condition-branches)-\d+")
LOOP = re.compile(r"(.+)-iteration-(\d+)")
INPUT = re.compile(r"\{\{\$\.inputs\.parameters\[['\"]([^'\"]+)['\"]\]\}\}")
FIELD = re.compile(r'\["([^"]*)"\]')
INTEGER = pb.ParameterType.ParameterTypeEnum.NUMBER_INTEGER
MOST_ITEMS = 10_000  # of a loop: each is a thread while it waits


class Stopped(Exception):
    """The run was asked to stop; its steps were interrupted and can be run again."""


class Cancelled(PantheonError):
    """A task that does not run because the run was stopped; exit handlers do."""


class Leaf(Protocol):
    """Runs a single step to its end: a function or an importer."""

    def __call__(self, name: str, task: Any, arguments: Outputs) -> Outputs:
        """Return its outputs; raise PantheonError if it failed, Stopped if it was stopped."""


@dataclass
class Scope:
    """The state of one pass through a scope's tasks.

    Attributes:
        since: for an exit handler, when the last step ended that it waits for; what it did before is done again.
        state: task → done, failed, cancelled or skipped.
        last: task → when its last step ended, or started if it did not end; only tasks that have begun.
    """

    component: Any
    path: tuple[str, ...]
    store: io.IOStore
    since: str | None = None
    state: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)


@dataclass
class Engine:
    """Runs one pipeline.

    Args:
        leaf: runs a step.
        stopping: set if the run must stop.
        name: of the run, unique: exit handlers get it.
        cancelled: whether the run was stopped: only exit handlers of what had begun run.
    """

    definition: Definition
    records: Records
    leaf: Leaf
    stopping: threading.Event
    name: str
    cancelled: bool = False
    failures: list[str] = field(default_factory=list)

    def run(self, arguments: Outputs) -> Outputs:
        """Run the pipeline; return its outputs.

        Raises:
            PantheonError: a step failed; the steps that do not need it, and exit handlers, have run.
            Cancelled: it is ``cancelled``, and exit handlers have run.
            Stopped: the run was stopped.
        """
        try:
            return self.scope(self.definition.spec.root, arguments, (), None)
        except PantheonError as error:
            kind = Cancelled if self.cancelled else PantheonError
            raise kind(" ".join(dict.fromkeys(self.failures)) or error.cause, "", 1) from None

    def scope(
        self, component: Any, arguments: Outputs, path: tuple[str, ...], outer: Scope | None, since: str | None = None
    ) -> Outputs:
        """Run the tasks of a scope, each as soon as those that it needs have ended.

        Raises:
            PantheonError: a task failed.
        """
        store = io.IOStore(parent=outer.store if outer else None)
        for name, value in with_defaults(arguments, component.input_definitions).items():
            store.put_parent_input(name, value)
        scope = Scope(component, path, store, since)
        waiting = {name: needs(task) for name, task in component.dag.tasks.items()}
        ended: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()
        running = 0
        defect: BaseException | None = None
        while waiting or running:
            for name in [] if self.stopping.is_set() or defect else [n for n, wanted in waiting.items() if not wanted]:
                del waiting[name]
                running += 1
                threading.Thread(target=self._task, args=(scope, name, ended), name=f"step-{name}", daemon=True).start()
            if not running:
                break
            name, error = ended.get()
            running -= 1
            if error is not None and not isinstance(error, PantheonError | Stopped):
                defect = error
            for wanted in waiting.values():
                wanted.discard(name)
        if outer and scope.last:
            outer.last[path[-1]] = max(scope.last.values())
        if defect:
            raise defect
        if self.stopping.is_set():
            raise Stopped
        failed = [name for name, state in scope.state.items() if state in ("failed", "cancelled")]
        if failed:
            kind = Cancelled if scope.state[failed[0]] == "cancelled" else PantheonError
            raise kind(scope.reasons[failed[0]], "", 1)
        return self.results(scope)

    def results(self, scope: Scope) -> Outputs:
        """Return the outputs of a scope; those of steps that were skipped are missing."""
        found: Outputs = {}

        def take(key: str, producers: list[tuple[str, str]]) -> None:
            for task, output in producers:  # several: of branches, of which one was taken
                if scope.state.get(task) == "done":
                    with contextlib.suppress(ValueError):  # an optional output that was not written
                        found[key] = scope.store.get_task_output(task, output)

        outputs = scope.component.dag.outputs
        for key, one in outputs.parameters.items():
            many = (
                one.value_from_oneof.parameter_selectors
                if one.HasField("value_from_oneof")
                else [one.value_from_parameter]
            )
            take(key, [(selector.producer_subtask, selector.output_parameter_key) for selector in many])
        for key, one in outputs.artifacts.items():
            take(
                key, [(selector.producer_subtask, selector.output_artifact_key) for selector in one.artifact_selectors]
            )
        return found

    def _task(self, scope: Scope, name: str, ended: "queue.SimpleQueue[tuple[str, BaseException | None]]") -> None:
        """Run a task in a thread of its own."""
        try:
            self.task(scope, name)
            error: BaseException | None = None
        except PantheonError as problem:
            how = "cancelled" if isinstance(problem, Cancelled) else "failed"
            scope.state[name], scope.reasons[name], error = how, problem.cause, problem
            scope.store.put_task_status(name, how.upper())
        except BaseException as problem:  # noqa: BLE001 - raised again by the thread of the scope
            error = problem
        ended.put((name, error))

    def task(self, scope: Scope, name: str) -> None:
        """Run one task: skip it, take it from its record, or do its work."""
        task = scope.component.dag.tasks[name]
        upstream = needs(task)
        begun = any(need in scope.last for need in upstream)
        if self.cancelled and scope.since is None and is_final(task) and not begun:
            scope.state[name] = "skipped"  # nothing of what it waits for had begun
            return
        lost = sorted(need for need in upstream if scope.state.get(need) != "done")
        if lost and task.trigger_policy.strategy != ALWAYS:
            how = "did not run" if scope.state[lost[0]] in ("skipped", "cancelled") else "failed"
            self.skip(scope, name, f"{lost[0]} {how}")
            return
        try:
            arguments = self.arguments(scope, task)
        except ValueError as error:  # an output that its producer did not write
            raise self.failed(scope, name, str(error)) from None
        if condition := task.trigger_policy.condition:
            try:
                met = conditions.evaluate(condition, arguments)
            except ValueError as error:
                raise self.failed(scope, name, f"its condition {condition}: {error}") from None
            if not met:
                self.skip(scope, name, "its condition does not hold")
                return
        do = self.loop if task.WhichOneof("iterator") else self.work
        outputs = do(scope, name, task, arguments)
        for key, value in outputs.items():
            scope.store.put_task_output(name, key, value)
        scope.state[name] = "done"
        scope.store.put_task_status(name, "SUCCEEDED")

    def failed(self, scope: Scope, name: str, reason: str) -> PantheonError:
        """Record that a task failed before it could start."""
        shown = shown_name((*scope.path, name))
        self.records.save(Step(name=shown, state="failed", error=reason))
        self.failures.append(f"The step {shown} failed: {reason.rstrip('.')}.")
        return PantheonError(reason, "", 1)

    def skip(self, scope: Scope, name: str, why: str) -> None:
        scope.state[name] = "skipped"
        scope.store.put_task_status(name, "SKIPPED")
        if self.cancelled:  # the step keeps the record that it has
            return
        for leaf in self.leaves(scope.component.dag.tasks[name], (*scope.path, name)):
            self.records.save(Step(name=shown_name(leaf), state="skipped", note=why))

    def leaves(self, task: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the paths of the steps of a task, without iterations."""
        component = self.definition.component(task)
        if component.WhichOneof("implementation") != "dag":
            yield path
            return
        for name, inner in component.dag.tasks.items():
            yield from self.leaves(inner, (*path, name))

    def arguments(self, scope: Scope, task: Any) -> Outputs:
        """Return what a task gets.

        Raises:
            ValueError: an output that it needs does not exist, or has no such field.
        """
        inputs = pb.TaskInputsSpec()
        inputs.CopyFrom(task.inputs)
        selectors = {}
        for key, one in inputs.parameters.items():
            if one.parameter_expression_selector:
                selectors[key] = one.parameter_expression_selector
                one.ClearField("parameter_expression_selector")
        found: Outputs = OrchestratorUtils.make_task_arguments(inputs, scope.store)
        for key, selector in selectors.items():
            found[key] = selected(found[key], selector)
        if self.definition.component(task).WhichOneof("implementation") == "dag":  # for a step, ``kfp.local`` does it
            for key, one in inputs.parameters.items():
                if one.HasField("runtime_value") and isinstance(found[key], str):
                    found[key] = INPUT.sub(lambda name: text(found[name[1]]), found[key])
        for key, one in inputs.parameters.items():
            if one.HasField("task_final_status"):
                found[key]["pipeline_job_resource_name"] = self.name
                if reason := scope.reasons.get(one.task_final_status.producer_task):
                    found[key]["error"] = {"code": 1, "message": reason}
        return found

    def work(self, scope: Scope, name: str, task: Any, arguments: Outputs) -> Outputs:
        """Run a step, or the scope that a task stands for."""
        component, path, since = self.definition.component(task), (*scope.path, name), scope.since
        if since is None and is_final(task):
            since = max((scope.last.get(need, "") for need in needs(task)), default="")
        if component.WhichOneof("implementation") == "dag":
            return self.scope(component, arguments, path, scope, since)
        shown = shown_name(path)
        try:
            known = self.records.done(shown)
            if known is not None and (since is None or self.records.steps[shown].started >= since):
                return known
            if self.cancelled and since is None:
                raise Cancelled("the run was stopped", "", 1)
            return self.leaf(shown, task, arguments)
        except Cancelled:
            raise
        except PantheonError as error:
            self.failures.append(f"The step {shown} failed: {error.cause.rstrip('.')}.")
            raise
        finally:
            record = self.records.steps.get(shown)
            if record and record.state != "skipped":
                scope.last[name] = record.finished or record.started

    def loop(self, scope: Scope, name: str, task: Any, arguments: Outputs) -> Outputs:
        """Run a task once for each item, as many at once as its limit allows; return lists of their outputs.

        ``kfp.local`` would replace every input of the loop that is another step's output by the item.
        """
        items, item_input = self.items(scope, name, task, arguments)
        results: list[Outputs] = [{} for _ in items]
        failures: list[BaseException] = []
        room = threading.Semaphore(task.iterator_policy.parallelism_limit or max(1, len(items)))

        def iterate(place: int) -> None:
            with room:
                if self.stopping.is_set():
                    return
                try:
                    given = arguments | {item_input: items[place]}
                    results[place] = self.work(scope, f"{name}-iteration-{place}", task, given)
                except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the task
                    failures.append(error)

        threads = [threading.Thread(target=iterate, args=(place,), daemon=True) for place in range(len(items))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if ended := [end for each, end in list(scope.last.items()) if each.startswith(f"{name}-iteration-")]:
            scope.last[name] = max(ended)
        if self.stopping.is_set():
            raise Stopped
        if failures:
            raise next((error for error in failures if not isinstance(error, PantheonError)), failures[0])
        keys = dict.fromkeys(key for result in results for key in result)
        return {key: [result.get(key) for result in results] for key in keys}

    def items(self, scope: Scope, name: str, task: Any, arguments: Outputs) -> tuple[list[Any], str]:
        """Return the items of a loop, and the name of the input that gets one.

        Raises:
            PantheonError: they are not a list.
        """
        kind = task.WhichOneof("iterator")
        iterator = getattr(task, kind)
        if kind == "artifact_iterator":
            items = arguments.get(iterator.items.input_artifact)
        elif iterator.items.WhichOneof("kind") == "raw":
            items = iterator.items.raw
        else:
            items = arguments.get(iterator.items.input_parameter)
        if isinstance(items, str):
            with contextlib.suppress(ValueError):
                items = json.loads(items)
        if not isinstance(items, list):
            raise self.failed(scope, name, f"the items of its loop must be a list, not {items!r:.80}")
        if len(items) > MOST_ITEMS:
            raise self.failed(scope, name, f"its loop has {len(items)} items, more than {MOST_ITEMS}")
        return items, iterator.item_input


def text(value: Any) -> str:
    """Return a parameter as a part of a text."""
    return value if isinstance(value, str) else json.dumps(value)


def selected(value: Any, selector: str) -> Any:
    """Return the field of a value that an item of a loop names: ``parseJson(string_value)["field"]``.

    Raises:
        ValueError: there is no such field.
    """
    if isinstance(value, str):
        value = json.loads(value)
    for field_name in FIELD.findall(selector):
        if not isinstance(value, dict) or field_name not in value:
            raise ValueError(f"{json.dumps(value)[:80]} has no field {field_name!r}")
        value = value[field_name]
    return value


def with_defaults(arguments: Outputs, inputs: Any) -> Outputs:
    """Return the inputs of a scope, defaults included."""
    found = dict(arguments)
    for name, one in inputs.parameters.items():
        if name not in found and one.HasField("default_value"):
            value = pb2_value_to_python(one.default_value)
            found[name] = int(value) if one.parameter_type == INTEGER else value
        elif name not in found and one.is_optional:
            found[name] = None
    for name, one in inputs.artifacts.items():
        if name not in found and one.is_optional:
            found[name] = None
    return found


def shown_name(path: tuple[str, ...]) -> str:
    """Return a step's name: its path without the compiler's groups, iterations as numbers at the end.

    ``("exit-handler-1", "for-loop-2-iteration-0", "fit")`` → ``fit-0``; the steps of a pipeline within a pipeline have
    its name before theirs: ``inner.fit``.
    """
    names, places = [], []
    for part in path:
        if loop := LOOP.fullmatch(part):
            places.append(loop[2])
            if not loop[1].startswith("for-loop-"):
                names.append(loop[1])
        elif not GROUPS.fullmatch(part):
            names.append(part)
    return "-".join([".".join(names), *places])

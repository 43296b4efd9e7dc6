"""Reads a compiled pipeline (KFP's intermediate representation) and checks that it can run without a cluster.

Everything that cannot run here is refused before anything starts, with the path of the field.
"""

import ast
import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.local.utils import struct_to_executor_spec
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from packaging.requirements import InvalidRequirement, Requirement

from pantheon.kubeflow.contract import Refused
from pantheon.kubeflow.pipelines import conditions

PROGRAM = '"$program_path/ephemeral_component.py"'  # of the command that KFP's compiler makes for a function
CLUSTER = "Run it on a cluster, or without this."
TYPES = pb.ParameterType.ParameterTypeEnum
WORDS = {
    TYPES.NUMBER_DOUBLE: "a number",
    TYPES.NUMBER_INTEGER: "a whole number",
    TYPES.STRING: "text",
    TYPES.BOOLEAN: "true or false",
    TYPES.LIST: "a list",
    TYPES.STRUCT: "an object",
}
WORKSPACE = "{{$.workspace_path}}"
ALWAYS = pb.PipelineTaskSpec.TriggerPolicy.TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
EXIT = re.compile(r"exit-handler-\d+")  # the tasks whose end an exit handler waits for


@dataclass(frozen=True)
class Function:
    """A lightweight component: the source of its module, the name of its function, its variables."""

    source: str
    name: str
    command: tuple[str, ...]
    image: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Definition:
    """A compiled pipeline that can run here.

    Attributes:
        spec: the pipeline as KFP's message.
        functions: by the label of their executor.
        importers: likewise, for ``dsl.importer``.
        notes: what is not applied without a cluster, as sentences.
    """

    spec: pb.PipelineSpec
    functions: dict[str, Function]
    importers: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.spec.pipeline_info.name)

    def component(self, task: Any) -> Any:
        return self.spec.components[task.component_ref.name]


def read(raw: Any, path: str, packages: Mapping[str, str]) -> Definition:
    """Read and check a compiled pipeline.

    Args:
        raw: the first document of the YAML file.
        path: of the field that contains it.
        packages: the packages that steps can import, normalised name → version.

    Raises:
        Refused: it is not valid, or needs a cluster.
    """
    if not isinstance(raw, dict):
        raise Refused(
            path, "must be a compiled pipeline, an object.", "Compile it: `bin/pantheon pipeline compile FILE.py`"
        )
    spec = pb.PipelineSpec()
    try:
        json_format.ParseDict(raw, spec)
    except (json_format.ParseError, RecursionError) as error:
        raise _unreadable(error, path) from None
    if not spec.schema_version.startswith("2."):
        raise Refused(
            f"{path}.schemaVersion", "must be 2.1.0, the schema of KFP v2.", "Compile the pipeline with kfp 2."
        )
    if not spec.pipeline_info.name:
        raise Refused(f"{path}.pipelineInfo.name", "is missing.")
    if spec.root.WhichOneof("implementation") != "dag":
        raise Refused(f"{path}.root.dag", "is missing.")
    functions: dict[str, Function] = {}
    importers: dict[str, Any] = {}
    notes: list[str] = []
    if "executors" in spec.deployment_spec:
        for label, struct in spec.deployment_spec["executors"].items():
            where = f"{path}.deploymentSpec.executors.{label}"
            try:
                executor = struct_to_executor_spec(struct)
            except json_format.ParseError as error:
                raise _unreadable(error, where) from None
            kind = executor.WhichOneof("spec")
            if kind == "container":
                functions[label] = _function(executor.container, f"{where}.container", packages, notes)
            elif kind == "importer":
                importers[label] = executor.importer
            else:
                raise Refused(where, f"{kind or 'this executor'} needs a cluster.", CLUSTER)
    definition = Definition(spec, functions, importers, list(dict.fromkeys(notes)))
    _check_scope(definition, spec.root, f"{path}.root", ())
    return definition


def _unreadable(error: Exception, path: str) -> Refused:
    """Convert protobuf's message, which has the place at its end: ``… at "PipelineSpec.root.dag"``."""
    text = str(error)
    place = re.search(r' at "?\w+\.([\w.\[\]"\'-]+?)"?\.?(?:\s|$)', text)
    unknown = re.search(r'has no field named "(\w+)"', text)
    where = f"{path}.{place[1]}" if place else path
    if unknown:
        return Refused(f"{where}.{unknown[1]}" if not where.endswith(unknown[1]) else where, "is not a field of KFP's.")
    return Refused(where, f"is not valid: {text.splitlines()[0][:300]}")


def _function(container: Any, path: str, packages: Mapping[str, str], notes: list[str]) -> Function:
    """Return the function of a lightweight component.

    Raises:
        Refused: it is another kind of component, or installs packages that are not here.
    """
    command, arguments = list(container.command), list(container.args)
    place = next((at for at, part in enumerate(command) if PROGRAM in part), None)
    if place is None or place + 2 != len(command) or "--function_to_execute" not in arguments:
        cure = "Write its step as a function with @dsl.component. Images run on a cluster only."
        raise Refused(path, f"the image {container.image} is a container component, which needs a cluster.", cure)
    for before in command[: place - 2]:
        for wanted in _installed_by(before):
            _check_package(wanted, path, packages)
    source, name = command[-1], arguments[arguments.index("--function_to_execute") + 1]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused(f"{path}.command", f"the step's code is not Python: {error}") from None
    known = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise Refused(
            f"{path}.args", f"the step's code has no function {name!r}.", f"Did you mean {near[0]!r}?" if near else ""
        )
    if any(WORKSPACE in part for part in (*command, *arguments)):
        raise Refused(path, "the workspace of a pipeline needs a cluster.", CLUSTER)
    if container.HasField("resources"):
        notes.append("CPU, memory and accelerators of steps are not limited or provided without a cluster.")
    return Function(source, name, tuple(command), container.image, {one.name: one.value for one in container.env})


def _installed_by(script: str) -> Iterator[str]:
    """Yield the requirements of each ``pip install`` in a command of KFP's compiler, without kfp itself."""
    for line in re.findall(r"pip install (.*?)(?:&&|\n|$)", script):
        skip = False
        for part in shlex.split(line):
            if skip:
                skip = False
            elif part in ("--index-url", "--extra-index-url", "--trusted-host"):
                skip = True
            elif not part.startswith("-") and not re.match(r"(kfp|typing[-_]extensions|kfp-pipeline-spec)\b", part):
                yield part


def _check_package(text: str, path: str, packages: Mapping[str, str]) -> None:
    cure = "Nothing is installed while a pipeline runs. Use a package of the workflow, or run it on a cluster."
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        raise Refused(path, f"packages_to_install: {text!r} cannot be installed here.", cure) from None
    if wanted.marker and not wanted.marker.evaluate():
        return
    found = packages.get(normal(wanted.name))
    if found is None or wanted.url:
        raise Refused(path, f"packages_to_install: {wanted.name} is not among the workflow's packages.", cure)
    if not wanted.specifier.contains(found, prereleases=True):
        cause = f"packages_to_install: {wanted.name}{wanted.specifier} is wanted, and {found} is here."
        raise Refused(path, cause, cure)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(environment: Path) -> dict[str, str]:
    """Return the packages of a virtual environment, normalised name → version."""
    places = [str(path) for path in environment.glob("lib/python3.*/site-packages")]
    return {
        normal(one.metadata["Name"]): one.version for one in metadata.distributions(path=places) if one.metadata["Name"]
    }


# Scopes ---------------------------------------------------------------------------------------------------------------


def needs(task: Any) -> set[str]:
    """Return the tasks of the same scope that must have ended before a task."""
    found = set(task.dependent_tasks)
    for given in task.inputs.parameters.values():
        kind = given.WhichOneof("kind")
        if kind == "task_output_parameter":
            found.add(given.task_output_parameter.producer_task)
        elif kind == "task_final_status":
            found.add(given.task_final_status.producer_task)
    for given in task.inputs.artifacts.values():
        if given.WhichOneof("kind") == "task_output_artifact":
            found.add(given.task_output_artifact.producer_task)
    return found


def is_final(task: Any) -> bool:
    """Return whether a task is an exit handler."""
    return task.trigger_policy.strategy == ALWAYS and any(EXIT.fullmatch(need) for need in needs(task))


def has_exit_handler(spec: Any) -> bool:
    """Return whether a pipeline, or one within it, has an exit handler."""
    return any(
        is_final(task) for component in (spec.root, *spec.components.values()) for task in component.dag.tasks.values()
    )


def _check_scope(definition: Definition, component: Any, path: str, outer: tuple[str, ...]) -> None:
    """Check the tasks of a scope and of those below it."""
    tasks, components = component.dag.tasks, definition.spec.components
    inputs = {*component.input_definitions.parameters, *component.input_definitions.artifacts}
    if not tasks:
        raise Refused(f"{path}.dag.tasks", "is empty: the pipeline has no steps.")
    for name, task in tasks.items():
        where = f"{path}.dag.tasks.{name}"
        target = task.component_ref.name
        if target not in components:
            near = difflib.get_close_matches(target, list(components), 1)
            raise Refused(
                f"{where}.componentRef.name",
                f"there is no component {target!r}.",
                f"Did you mean {near[0]!r}?" if near else "",
            )
        missing = sorted(need for need in needs(task) if need not in tasks)
        if missing:
            raise Refused(f"{where}.dependentTasks", f"there is no task {missing[0]!r}.")
        _check_inputs(task, components[target], where, inputs)
        if task.trigger_policy.condition:
            conditions.check(task.trigger_policy.condition, f"{where}.triggerPolicy.condition")
        if target in outer:
            raise Refused(where, f"the component {target!r} contains itself.")
        kind = components[target].WhichOneof("implementation")
        if kind == "dag":
            _check_scope(
                definition,
                components[target],
                f"{path.partition('.root')[0].partition('.components')[0]}.components.{target}",
                (*outer, target),
            )
        elif kind != "executor_label":
            raise Refused(f"{where}.componentRef.name", f"the component {target!r} has neither code nor steps.")
        elif components[target].executor_label not in {*definition.functions, *definition.importers}:
            label = components[target].executor_label
            raise Refused(f"{where}.componentRef.name", f"the executor {label!r} of the component is missing.")
    _check_cycles({name: needs(task) for name, task in tasks.items()}, f"{path}.dag.tasks")


def _check_inputs(task: Any, component: Any, path: str, inputs: set[str]) -> None:
    for kind, given in (("parameters", task.inputs.parameters), ("artifacts", task.inputs.artifacts)):
        for name, one in given.items():
            from_parent = one.component_input_parameter if kind == "parameters" else one.component_input_artifact
            if from_parent and from_parent not in inputs and not from_parent.endswith("-loop-item"):
                raise Refused(f"{path}.inputs.{kind}.{name}", f"the pipeline has no input {from_parent!r}.")
    for name, wanted in component.input_definitions.parameters.items():
        given = name in task.inputs.parameters
        optional = wanted.is_optional or wanted.HasField("default_value") or name.startswith("pipelinechannel--")
        if not given and not optional and task.WhichOneof("iterator") is None:
            raise Refused(f"{path}.inputs.parameters.{name}", "is missing.")


def _check_cycles(graph: dict[str, set[str]], path: str) -> None:
    left = {name: set(wanted) for name, wanted in graph.items()}
    while ready := [name for name, wanted in left.items() if not wanted]:
        for name in ready:
            del left[name]
        for wanted in left.values():
            wanted.difference_update(ready)
    if left:
        here = min(left)
        circle = [here]
        while (here := min(name for name in left[here] if name in left)) not in circle:
            circle.append(here)
        circle = circle[circle.index(here) :]
        raise Refused(path, f"the tasks wait for each other: {' → '.join([*circle, here])}.")


# Parameters -----------------------------------------------------------------------------------------------------------


def arguments(definition: Definition, given: Any, path: str) -> dict[str, Any]:
    """Return the pipeline's parameters with their types; text is read as the type that a parameter has.

    Raises:
        Refused: one is unknown, missing or of another type.
    """
    if not isinstance(given, dict):
        raise Refused(path, "must be an object of names and values.")
    wanted = definition.spec.root.input_definitions.parameters
    for name in given:
        if name not in wanted:
            near = difflib.get_close_matches(str(name), list(wanted), 1)
            names = f"Its parameters: {', '.join(wanted)}." if wanted else "It has no parameters."
            raise Refused(
                f"{path}.{name}", "is not a parameter of the pipeline.", f"Did you mean {near[0]!r}?" if near else names
            )
    found = {name: typed(value, wanted[name].parameter_type, f"{path}.{name}") for name, value in given.items()}
    for name, one in wanted.items():
        if name not in found and not one.is_optional and not one.HasField("default_value"):
            raise Refused(f"{path}.{name}", f"is missing: it must be {WORDS.get(one.parameter_type, 'given')}.")
    for name in definition.spec.root.input_definitions.artifacts:
        if not definition.spec.root.input_definitions.artifacts[name].is_optional:
            raise Refused(
                f"{path}.{name}", "an artifact cannot be given to a pipeline as a parameter.", "Use dsl.importer."
            )
    return found


def typed(value: Any, kind: Any, path: str) -> Any:
    """Return ``value`` as the type of a parameter."""
    if isinstance(value, str) and kind != TYPES.STRING:
        try:
            value = json.loads(value.lower() if kind == TYPES.BOOLEAN else value)
        except (ValueError, RecursionError):
            raise Refused(path, f"must be {WORDS.get(kind, 'JSON')}, not {value[:80]!r}.") from None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        TYPES.NUMBER_DOUBLE: number,
        TYPES.NUMBER_INTEGER: number and value == int(value) if number and abs(value) < 1e300 else False,
        TYPES.STRING: isinstance(value, str),
        TYPES.BOOLEAN: isinstance(value, bool),
        TYPES.LIST: isinstance(value, list),
        TYPES.STRUCT: isinstance(value, dict),
    }.get(kind, True)
    if not fits:
        raise Refused(path, f"must be {WORDS[kind]}, not {json.dumps(value, default=str)[:80]}.")
    return int(value) if kind == TYPES.NUMBER_INTEGER else float(value) if kind == TYPES.NUMBER_DOUBLE else value

"""The controllers of pipelines: ``Pipeline``, ``PipelineVersion`` and ``PipelineRun``; see ``recurring`` for the rest.

kfp is imported when the first pipeline is checked or run, not when the service starts: it takes 100 MB.
"""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pantheon.errors import PantheonError
from pantheon.files import read_json, write_json
from pantheon.kubeflow import owned, validation
from pantheon.kubeflow.contract import BY, Job, Object, Refused
from pantheon.kubeflow.pipelines import kinds
from pantheon.kubeflow.pipelines.kinds import BUILT_IN, MOST_AT_ONCE, PipelineSpec, RunSpec, VersionSpec

COMPILED = Path(__file__).with_name("workflow.yaml")
SOURCE = Path(__file__).resolve().parents[3]
CLUSTER = "Kubernetes' settings of steps need a cluster. Leave them out."
FROZEN = ("pipelineRef", "pipelineSpec", "parameters", "caching")  # of a run
MOST_RUNS = max(2, os.cpu_count() or 2)  # at once; others wait
WAIT_SECONDS = 0.5  # between two looks at whether a run may start
ARTIFACTS = "artifacts"
STOPPED = "It was stopped: `bin/pantheon pipeline resume NAME` continues it."


class Pipelines:
    """Names of pipelines: there is nothing to do for them."""

    kind = kinds.PIPELINE
    finished: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def check(self, manifest: Object, old: Object | None) -> None:
        if manifest["metadata"]["name"] == BUILT_IN:
            raise Refused("metadata.name", f"{BUILT_IN} is the deployment's own pipeline.", "Choose another name.")
        validation.convert(manifest["spec"], PipelineSpec, "spec")

    def run(self, job: Job) -> None:
        pass

    def act(self, manifest: Object, action: str) -> Object:
        return manifest

    def clear(self, job: Job) -> None:
        pass


class PipelineVersions(Pipelines):
    """Compiled pipelines, checked when they are applied."""

    kind = kinds.VERSION

    def check(self, manifest: Object, old: Object | None) -> None:
        spec = validation.convert(manifest["spec"], VersionSpec, "spec")
        if spec.platform_spec:
            raise Refused("spec.platformSpec", "needs a cluster.", CLUSTER)
        if old and old["spec"].get("pipelineSpec") != manifest["spec"]["pipelineSpec"]:
            raise Refused("spec.pipelineSpec", "a version of a pipeline cannot change.", "Apply it under another name.")
        read_definition(spec.pipeline_spec, "spec.pipelineSpec")


class PipelineRuns:
    """Runs of pipelines."""

    kind = kinds.RUN
    finished = ("Succeeded", "Failed")
    actions = ("stop", "resume")

    def __init__(self) -> None:
        self.slots = threading.BoundedSemaphore(MOST_RUNS)

    def check(self, manifest: Object, old: Object | None) -> None:
        spec = validation.convert(manifest["spec"], RunSpec, "spec")
        check_source(manifest["spec"], spec.pipeline_ref, spec.pipeline_spec)
        if spec.platform_spec:
            raise Refused("spec.platformSpec", "needs a cluster.", CLUSTER)
        if not 1 <= spec.at_once <= MOST_AT_ONCE:
            raise Refused("spec.atOnce", f"must be from 1 to {MOST_AT_ONCE}.")
        if old:
            for field in FROZEN:
                if old["spec"].get(field) != manifest["spec"].get(field):
                    raise Refused(f"spec.{field}", "a run cannot change.", "Start another run, under another name.")
        elif raw := (spec.pipeline_spec or built_in(spec.pipeline_ref)):
            given = dict(spec.parameters)
            if raw is not spec.pipeline_spec:
                given.setdefault("run", "")
            check_parameters(raw, given)

    def run(self, job: Job) -> None:
        spec = validation.convert(job.object["spec"], RunSpec, "spec")
        if spec.stop:
            stop(job, spec)
            return
        job.condition("Running", False, "Waiting", f"At most {MOST_RUNS} runs work at once.")
        while not self.slots.acquire(timeout=WAIT_SECONDS):
            if job.stopping.is_set():
                return
        try:
            execute(job, spec)
        finally:
            self.slots.release()

    def act(self, manifest: Object, action: str) -> Object:
        state = kinds.state_of(manifest)
        changed: Object = json.loads(json.dumps(manifest))
        if action == "stop":
            if state not in ("waiting", "running"):
                raise Refused("", f"the run has ended: {state}.", "Nothing is to be stopped.")
            changed["spec"]["stop"] = True
        else:
            if state not in ("failed", "stopped"):
                raise Refused("", f"the run is {state}.", "Only a run that failed or was stopped can be resumed.")
            changed["spec"].pop("stop", None)
            changed["spec"]["attempt"] = int(changed["spec"].get("attempt", 1)) + 1
        return changed

    def clear(self, job: Job) -> None:
        owned.delete(job)


def check_source(spec: Object, reference: Any, inside: Any) -> None:
    if (reference is None) == (inside is None):
        cause = "must name a pipeline, or spec.pipelineSpec contain one" + (", not both." if reference else ".")
        raise Refused("spec.pipelineRef", cause, "Such as pipelineRef: {name: workflow}")


def check_parameters(raw: Any, given: Object) -> None:
    from pantheon.kubeflow.pipelines import definition

    definition.arguments(read_definition(raw, "spec.pipelineSpec"), given, "spec.parameters")


def read_definition(raw: Any, path: str) -> Any:
    """Return the checked definition of a compiled pipeline."""
    from pantheon.kubeflow.pipelines import definition

    return definition.read(raw, path, definition.packages_of(workflow_environment()))


def workflow_environment() -> Path:
    return Path(os.environ["WORKFLOW_ENVIRONMENT"])


def built_in(reference: Any) -> Any:
    """Return the deployment's own pipeline if it is meant."""
    if reference is None or reference.name != BUILT_IN:
        return None
    import yaml

    return yaml.load(COMPILED.read_text(encoding="utf-8"), yaml.CSafeLoader)


def resolve(job: Job, spec: RunSpec) -> Any:
    """Return the compiled pipeline of a run: that of its first start.

    Raises:
        Refused: there is no such pipeline.
    """
    kept = job.folder / "pipeline.json"
    if kept.exists():
        return read_json(kept)
    raw = spec.pipeline_spec or built_in(spec.pipeline_ref)
    if raw is None:
        assert spec.pipeline_ref
        wanted = spec.pipeline_ref
        versions = [each for each in job.objects.list("PipelineVersion") if each["spec"]["pipelineName"] == wanted.name]
        if wanted.version:
            versions = [each for each in versions if each["metadata"]["name"] == wanted.version]
        if not versions:
            cause = f"there is no pipeline {wanted.name!r}" + (
                f" with a version {wanted.version!r}." if wanted.version else "."
            )
            raise Refused("spec.pipelineRef", cause, "Pipelines: `bin/pantheon get pipelineversions`")
        raw = versions[-1]["spec"]["pipelineSpec"]
    write_json(kept, raw)
    return raw


def stop(job: Job, spec: RunSpec) -> None:
    """End a run that was stopped: what its steps have started elsewhere stops, and exit handlers run."""
    owned.stop(job)
    if any((job.folder / "steps").glob("*/step.json")):
        execute(job, spec)
    else:
        ended(job, "Failed", "Stopped", STOPPED)


def execute(job: Job, spec: RunSpec) -> None:
    """Run the steps that are not done yet, of a run that was stopped its exit handlers only; set the conditions."""
    from pantheon.kubeflow.pipelines import definition
    from pantheon.kubeflow.pipelines.cache import Cache
    from pantheon.kubeflow.pipelines.curves import Curves
    from pantheon.kubeflow.pipelines.engine import Cancelled, Engine, Stopped
    from pantheon.kubeflow.pipelines.leaf import Interpreter, Steps
    from pantheon.kubeflow.pipelines.records import Records, Step

    found = read_definition(resolve(job, spec), "spec.pipelineSpec")
    if spec.stop and not definition.has_exit_handler(found.spec):
        ended(job, "Failed", "Stopped", STOPPED)
        return
    given = dict(spec.parameters)
    if spec.pipeline_ref and spec.pipeline_ref.name == BUILT_IN:
        given.setdefault("run", kinds.run_id_of(job.object))
    arguments = definition.arguments(found, given, "spec.parameters")
    parameters = engine_parameters(found, arguments)
    curves = Curves(job.tensorboard)

    def show(steps: list[Step]) -> None:
        job.status(steps=[seen(step) for step in steps], artifacts=listed(job, steps))
        curves.add(steps)

    records = Records(job.folder, show)
    metadata = job.object["metadata"]
    name = f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}"
    own = any("pantheon." in function.source for function in found.functions.values())
    interpreter = Interpreter(
        job.process, str(workflow_environment() / "bin" / "python"), job.folder / owned.INTERPRETER,
        job.logs / "interpreter.log", step_environment(job, parameters.get("threads")), "workflow" if own else "",
    )  # fmt: skip
    cache = Cache(job.state / "kubeflow" / "cache" / metadata["namespace"]) if spec.caching else None
    steps = Steps(found, records, interpreter, job.folder, job.logs, job.stopping, name, cache, spec.at_once)
    engine = Engine(found, records, steps, job.stopping, name, spec.stop)
    started = job.object.get("status", {}).get("startTime") or now()
    job.status(pipeline=found.name, startTime=started, completionTime=None, notes=found.notes, parameters=parameters)
    job.condition("Running", True, "Started", "Its exit handlers run." if spec.stop else "Its steps run.")
    try:
        interpreter.ensure()
        outputs = engine.run(arguments)
    except Stopped:
        job.condition("Running", False, "Interrupted", "The service stopped it; it will be continued.")
        return
    except Cancelled as error:
        failed = f" {error.cause}" if engine.failures else ""
        ended(job, "Failed", "Stopped", STOPPED + failed)
        return
    except PantheonError as error:
        ended(job, "Failed", "StepFailed", str(error))
        return
    finally:
        interpreter.close()
        curves.close(parameters)
    plain = {key: value for key, value in outputs.items() if isinstance(value, str | int | float | bool)}
    ran = [step for step in records.steps.values() if isinstance(step, Step)]
    cached = sum(step.cached for step in ran)
    done = sum(step.state == "done" for step in ran)
    job.status(outputs=plain)
    skipped = sum(step.state == "skipped" for step in ran)
    said = f"{done} steps are done" + (f", {cached} of them from the cache" if cached else "")
    said += f"; {skipped} skipped by a condition." if skipped else "."
    ended(job, "Succeeded", "Done", said)


def ended(job: Job, type: str, reason: str, message: str) -> None:
    """Record that a run has ended."""
    job.status(completionTime=now())
    job.condition("Running", False, reason, message)
    job.condition(type, True, reason, message)


def engine_parameters(found: Any, parameters: Object) -> Object:
    """Return the parameters with the pipeline's defaults."""
    from pantheon.kubeflow.pipelines.engine import with_defaults

    return with_defaults(parameters, found.spec.root.input_definitions)


def step_environment(job: Job, threads: Any) -> dict[str, str]:
    """Return the variables of steps.

    Args:
        threads: of numeric libraries, which read it when they are imported; see ``pantheon.worker.fix_threads``.
    """
    import kfp

    python = job.folder / "python"  # kfp and nothing else, as KFP's own command installs it in a step's image
    python.mkdir(exist_ok=True)
    (python / "kfp").unlink(missing_ok=True)
    (python / "kfp").symlink_to(Path(kfp.__file__).parent)
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "MALLOC_", "_"))
    }
    count = str(threads) if isinstance(threads, int) and not isinstance(threads, bool) and threads > 0 else "2"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    return kept | dict.fromkeys(names, count) | {
        "PATH": f"{workflow_environment()}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(workflow_environment()),
        "PYTHONPATH": f"{SOURCE}:{python}",
        "GOMP_SPINCOUNT": "1000",
        "WORKFLOW_IN_SERVICE": "1",
        owned.NAMESPACE: job.object["metadata"]["namespace"],
        owned.RUN: job.object["metadata"]["name"],
        owned.BY_WHOM: (job.object["metadata"].get("annotations") or {}).get(BY, ""),
    }  # fmt: skip


def seen(step: Any) -> Object:
    """Return what the status says of a step."""
    fields: Object = msgspec.to_builtins(step)
    fields.pop("outputs", None)
    return fields


def listed(job: Job, steps: Any) -> list[Object]:
    """Return the artifacts of the steps; those that are files below the run's folder can be read as its logs."""
    from pantheon.kubeflow.pipelines import records

    found = []
    for step in steps:
        for artifact in records.artifacts(step):
            path, shown = Path(artifact["uri"]), Path(ARTIFACTS, step.name, artifact["name"])
            if path.is_file() and path.is_relative_to(job.folder):
                target = job.logs / shown
                if not target.exists() or target.stat().st_ino != path.stat().st_ino:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.unlink(missing_ok=True)
                    os.link(path, target)
                artifact["file"] = str(shown)
                artifact["bytes"] = path.stat().st_size
            found.append(artifact)
    return found


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

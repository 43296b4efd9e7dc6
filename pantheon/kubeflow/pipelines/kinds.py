"""The kinds of pipelines and the specs of their manifests. Light to import: the service and commands read it.

Kubeflow has the kinds ``Pipeline`` and ``PipelineVersion``, and no manifest for a run: there, a run is a request to an
API. ``PipelineRun`` and ``RecurringRun`` have the fields of those requests.
"""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from pantheon.kubeflow.contract import Kind, Object, Refused

KFP = "pipelines.kubeflow.org/v2beta1"
OWN = "pantheon.org/v1"
BUILT_IN = "workflow"  # the pipeline that is always there
MOST_AT_ONCE = 32
STATES = {"Succeeded": "done", "Failed": "failed", "Stopped": "stopped"}


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A mapping without unknown fields."""


class PipelineSpec(Strict):
    """A name for versions of a pipeline."""

    description: str = ""
    display_name: str = ""


class VersionSpec(Strict):
    """A compiled pipeline."""

    pipeline_spec: dict[str, Any]
    pipeline_name: str
    platform_spec: dict[str, Any] | None = None
    description: str = ""
    display_name: str = ""
    code_source_url: str = msgspec.field(name="codeSourceURL", default="")


class Reference(Strict):
    """A pipeline by name: ``version`` names one of its PipelineVersions; empty: the newest."""

    name: str
    version: str = ""


class RunSpec(Strict):
    """A run of a pipeline, which is named or contained.

    Attributes:
        caching: whether steps may be taken from the cache, if they allow it.
        at_once: how many steps run side by side.
        stop: whether it must not run any more.
        attempt: counts how often it was started; only steps that are not done run again.
    """

    pipeline_ref: Reference | None = None
    pipeline_spec: dict[str, Any] | None = None
    platform_spec: dict[str, Any] | None = None
    parameters: dict[str, Any] = {}
    caching: bool = True
    at_once: int = 2
    stop: bool = False
    attempt: int = 1


class Cron(Strict):
    """A cron expression in UTC, with KFP's leading field for seconds or without."""

    cron: str
    start_time: str = ""
    end_time: str = ""


class Periodic(Strict):
    """A fixed interval."""

    interval_second: int
    start_time: str = ""
    end_time: str = ""


class Trigger(Strict):
    """When runs start."""

    cron_schedule: Cron | None = None
    periodic_schedule: Periodic | None = None


class RecurringSpec(Strict):
    """Runs that start by themselves.

    Attributes:
        max_concurrency: how many of its runs may be unfinished at once; a run that is due waits.
        no_catchup: whether only the newest of several missed times is made up for.
        mode: ENABLE or DISABLE.
        history_limit: how many of its finished runs are kept; older ones are deleted.
    """

    trigger: Trigger
    pipeline_ref: Reference | None = None
    pipeline_spec: dict[str, Any] | None = None
    parameters: dict[str, Any] = {}
    caching: bool = True
    max_concurrency: int = 1
    no_catchup: bool = True
    mode: str = "ENABLE"
    history_limit: int = 20


def state_of(run: Object) -> str:
    """Return the state of a PipelineRun: waiting, running, done, failed or stopped."""
    if run.get("status", {}).get("observedGeneration") != run["metadata"].get("generation"):
        return "waiting"  # it was resumed, or is to stop: its conditions are those of before
    for each in run.get("status", {}).get("conditions", []):
        if each["status"] == "True" and each["type"] in STATES:
            return "stopped" if each["reason"] == "Stopped" else STATES[each["type"]]
    return "running" if run.get("status", {}).get("steps") else "waiting"


def pipeline_of(run: Object) -> str:
    return str(run.get("status", {}).get("pipeline") or (run["spec"].get("pipelineRef") or {}).get("name", ""))


def run_columns(run: Object) -> dict[str, str]:
    steps = run.get("status", {}).get("steps", [])
    ended = sum(step["state"] in ("done", "skipped") for step in steps)
    return {"PIPELINE": pipeline_of(run), "STATE": state_of(run), "STEPS": f"{ended}/{len(steps)}"}


def recurring_columns(found: Object) -> dict[str, str]:
    trigger = found["spec"]["trigger"]
    when = (trigger.get("cronSchedule") or {}).get(
        "cron"
    ) or f"every {(trigger.get('periodicSchedule') or {}).get('intervalSecond')} s"
    status = found.get("status", {})
    return {
        "SCHEDULE": when,
        "MODE": found["spec"].get("mode", "ENABLE"),
        "LAST": status.get("lastRun", ""),
        "NEXT": status.get("nextTime", ""),
    }


PIPELINE = Kind("Pipeline", (KFP,), "pipelines")
VERSION = Kind(
    "PipelineVersion", (KFP,), "pipelineversions", ("pv",), lambda found: {"PIPELINE": found["spec"]["pipelineName"]}
)
RUN = Kind("PipelineRun", (OWN,), "pipelineruns", ("pr",), run_columns)
RECURRING = Kind("RecurringRun", (OWN,), "recurringruns", ("rr",), recurring_columns)


def time_of(text: str, path: str) -> datetime | None:
    """Return a time of a manifest in UTC; None for an empty one.

    Raises:
        Refused: it is not ISO 8601.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(path, f"{text[:40]!r} is not a time.", "Write it as 2026-01-31T14:25:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def run_id_of(manifest: Object) -> str:
    """Return the ID of the workflow's run that a PipelineRun makes if its parameters name none."""
    made = datetime.fromisoformat(manifest["metadata"]["creationTimestamp"])
    digits = re.sub(r"[^0-9a-f]", "", manifest["metadata"]["uid"])[:4]
    return f"{made:%Y%m%d-%H%M%S}-{digits}"

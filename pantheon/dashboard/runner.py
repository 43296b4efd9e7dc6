"""Run orders as pipelines: each order is a PipelineRun of Kubeflow's, which has the order's name."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pantheon import events
from pantheon.dashboard.carrying import Later, Prepared, Progress
from pantheon.dashboard.orders import Placed
from pantheon.dashboard.taking import FOLDER, Asked
from pantheon.errors import PantheonError
from pantheon.kubeflow.client import Failed, Kubeflow
from pantheon.kubeflow.contract import Object
from pantheon.kubeflow.pipelines import kinds
from pantheon.workflow.run import Ordered, Run

SOURCE = Path(__file__).resolve().parents[2]
RUNS = kinds.RUN.plural
SECONDS = 1800.0  # to copy the data and to infer its spec
AWAY = (429, 500, 502, 503, 504)  # of Kubeflow's service: it is full, or does not answer


@dataclass(frozen=True)
class Pipelines:
    """Runs orders by Kubeflow's service.

    Attributes:
        kubeflow: returns a client that acts for a user.
        state: the deployment's state folder.
        python: of the workflow's environment.
        tier: of the deployment; recorded with runs.
    """

    kubeflow: Callable[[str], Kubeflow]
    state: Path
    python: Path
    tier: Callable[[], str]

    def start(self, prepared: Prepared) -> str:
        """See ``carrying.Runner``."""
        placed, order = prepared.placed, prepared.placed.order
        name, run = name_of(placed), run_of(placed)
        client = self.kubeflow(placed.by)
        if self.find(client, placed) is not None:
            return name
        params = asdict(prepared.params)
        tier = self.tier()
        ordered: Ordered = {
            "id": placed.id, "by": placed.by,
            "model_repository": order.model.url, "model_commit": prepared.commits["model"],
            "data_repository": order.data.url, "data_commit": prepared.commits["data"], "data_path": order.data.path,
        }  # fmt: skip
        asked = Asked(
            run=run, name=order.model_name, tier=tier, file=str(prepared.data), spec=str(prepared.spec or ""),
            target=order.data.target, extensions=str(prepared.model / "extensions"), params=params, order=ordered,
        )  # fmt: skip
        self.take(asked)
        spec = {
            "pipelineRef": {"name": kinds.BUILT_IN},
            "parameters": {**params, "run": run, "dataset": order.model_name, "tier": tier},
        }
        metadata = {"name": name, "namespace": order.namespace, "labels": {"order": placed.id}}
        manifest = {"apiVersion": kinds.OWN, "kind": kinds.RUN.name, "metadata": metadata, "spec": spec}
        asking(lambda: client.apply(json.dumps(manifest).encode(), order.namespace))
        return name

    def take(self, asked: Asked) -> None:
        """Make the run with its data, in a process of its own: it reads what somebody else has written."""
        reader = events.Reader("the order", lambda event: None)
        command = [str(self.python), "-P", "-m", "pantheon.dashboard.taking"]
        try:
            done = subprocess.run(
                command, input=msgspec.json.encode(asked), capture_output=True, timeout=SECONDS, check=False,
                env={**os.environ, "STATE_DIR": str(self.state), "PYTHONPATH": str(SOURCE)},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise PantheonError(f"the data was not read within {SECONDS:.0f} s.", "Order less data.") from None
        for line in done.stderr.decode(errors="replace").splitlines():
            reader.text(line)
        for line in done.stdout.decode(errors="replace").splitlines():
            reader.line(line)
        reader.check(done.returncode)

    def progress(self, placed: Placed) -> Progress:
        """See ``carrying.Runner``."""
        found = self.find(self.kubeflow(placed.by), placed)
        if found is None:
            return Progress(ended=True, failed=f"its pipeline run {name_of(placed)} was deleted.")
        state = kinds.state_of(found)
        if state == "failed":
            return Progress(said=said(found), ended=True, failed=reason(found))
        if state != "done":
            return Progress(said=said(found))
        outcome = Run(self.state / "runs" / run_of(placed)).outcome
        if outcome is None:
            return Progress(ended=True, failed="its run has ended without a result.")
        return Progress(
            said=said(found),
            ended=True,
            result={
                "run": run_of(placed),
                "decision": outcome.decision,
                "model": outcome.model,
                "version": outcome.version,
                "reason": outcome.reason,
            },
        )

    def clear(self, placed: Placed) -> None:
        """Remove the order's copy of the data: the run has its rows, and DVC keeps what was trained on."""
        for path in (self.state / "data" / FOLDER).glob(f"{placed.id}*"):
            path.unlink(missing_ok=True)

    def find(self, client: Kubeflow, placed: Placed) -> Object | None:
        """Return the PipelineRun of an order; None if there is none."""
        try:
            found: Object = asking(lambda: client.get(RUNS, name_of(placed), placed.order.namespace))
        except Failed as error:
            if error.code == 404:
                return None
            raise
        return found


def asking(ask: Callable[[], Any]) -> Any:
    """Ask Kubeflow's service.

    Raises:
        Later: it does not answer, or has no room.
        Failed: it refuses.
    """
    try:
        return ask()
    except Failed as error:
        if error.code in AWAY:
            raise Later(error.cause, error.cure, 1) from None
        raise
    except PantheonError as error:
        raise Later(error.cause, error.cure, 1) from None


def name_of(placed: Placed) -> str:
    """Return the name of an order's PipelineRun."""
    return f"order-{placed.id}"


def run_of(placed: Placed) -> str:
    """Return the ID of an order's run of the workflow."""
    at = datetime.fromisoformat(placed.at).astimezone(UTC)
    return f"{at:%Y%m%d-%H%M%S}-{placed.id[:4]}"


def said(found: Mapping[str, Any]) -> str:
    """Return a line about how far a PipelineRun is."""
    state = kinds.state_of(dict(found))
    if state == "stopped":
        return "the run was stopped: resume it, or delete it to end the order"
    steps = found.get("status", {}).get("steps", [])
    ended = sum(step["state"] in ("done", "skipped") for step in steps)
    now = ", ".join(step["name"] for step in steps if step["state"] == "running")
    return f"{ended} steps are done" + (f"; {now} runs" if now else "") if steps else "the run waits"


def reason(found: Mapping[str, Any]) -> str:
    """Return why a PipelineRun failed."""
    for each in found["status"].get("conditions", []):
        if each["type"] == "Failed" and each["status"] == "True":
            return str(each["message"])
    return "its run failed and did not say why."

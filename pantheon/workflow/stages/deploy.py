"""deploy: write the bundle, apply the gate, publish the model, and promote it if it passes."""

from pathlib import Path
from typing import Any

import msgspec

from pantheon.files import write_json
from pantheon.state import Outcome, served, set_served
from pantheon.workflow.bundle.records import Lineage
from pantheon.workflow.bundle.write import write_bundle
from pantheon.workflow.model_store import ModelStore
from pantheon.workflow.outputs import Chosen, Comparison, Metrics, Summary
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.stages.model_comparison import Comparer
from pantheon.workflow.training.gate import judge
from pantheon.workflow.training.matrix import load_spec

BY = "workflow"


def deploy(run: Run, store: ModelStore) -> Summary:
    """``evaluation``, ``metrics.json``, ``comparison.json`` → ``bundle/``, a version in the store, ``outcome.json``.

    Deploys of one model are serialised, and the champion is only swapped if it is still the version that was compared:
    if another run has changed it in the meantime, the comparison is repeated.

    Returns:
        ``{"decision": "promoted" | "challenger" | "refused", "model", "version", "reason"}``; no version when refused.

    Raises:
        PantheonError: ONNX and scikit-learn do not agree.
    """
    name = load_spec(run).name
    compared = run.read("comparison.json", "model_comparison", Comparison)
    note = run.read("evaluation/chosen.json", "evaluate", Chosen).get("note", "")
    doubts = run.read("metrics.json", "performance_metrics", Metrics)["warnings"]
    folder = write_bundle(run)
    version: str | None = None
    with store.serialised(name):
        while True:
            champion = store.alias(name, "champion")
            current = champion.version if champion else None
            deployed = compared["deployed"]
            if current != (deployed["version"] if deployed else None):
                compared = Comparer(run).all(store)
                write_json(run.path("comparison.json"), compared)
                continue
            decision, reason = judge(compared, run.params.approval)
            reason = f"{reason} {note}".strip()
            if decision == "refused":
                break
            if version is None:
                version = store.publish(name, folder, _metadata(run, folder))
            if decision == "challenger":
                challenger = store.alias(name, "challenger")
                expected = challenger.version if challenger else None
                if store.swap(name, version, "challenger", expected=expected, by=BY, note=reason):
                    break
            elif store.swap(name, version, "champion", expected=current, by=BY, note=reason):
                if not run.order or not served(run.state):  # an order does not change what the page shows to others
                    set_served(run.state, name)
                break
    outcome: Summary = msgspec.to_builtins(Outcome(decision, name, version, reason, doubts))
    write_json(run.path("outcome.json"), outcome)
    return outcome


def _metadata(run: Run, folder: Path) -> dict[str, Any]:
    """Return what a list of versions shows without opening every bundle."""
    lineage, metrics = read_as(folder / "lineage.json", Lineage), read_as(folder / "metrics.json", Metrics)
    metric = metrics["primary"]["name"]
    recorded = lineage["version_control"]
    git = {"version_control": {"commit": recorded["commit"], "data_md5": recorded["data"]["md5"]}} if recorded else {}
    order = lineage.get("order")
    ordered = {"order": {"id": order["id"], "by": order["by"]}} if order else {}
    return (
        git
        | ordered
        | {
            "run": run.id,
            "data": {"name": lineage["data"]["name"], "sha256": lineage["data"]["sha256"]},
            "task": metrics["task"],
            "chosen": metrics["chosen"],
            "metric": {"name": metric, "value": metrics["held_out"][metric]},
            "code": {"version": lineage["code"]["version"], "commit": lineage["code"]["commit"]},
        }
    )

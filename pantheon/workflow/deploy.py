"""deploy: make the bundle, ask the gate, publish, and promote what passes."""

from pathlib import Path
from typing import Any

from pantheon.workflow.bundle import write_bundle
from pantheon.workflow.gate import judge
from pantheon.workflow.matrix import load_spec
from pantheon.workflow.model_comparison import Comparison
from pantheon.workflow.registry import ModelStore
from pantheon.workflow.run import Run, read_json, write_json

BY = "workflow"


def deploy(run: Run, store: ModelStore) -> dict[str, Any]:
    """``evaluation``, ``metrics.json``, ``comparison.json`` → ``bundle/``, a version in the store, ``outcome.json``.

    Deploys of one model wait for each other, and the champion is swapped only against the version that was compared:
    when another run was faster, its model is compared with ours first.

    Returns:
        ``{"decision": "promoted" | "challenger" | "refused", "model", "version", "reason"}``; no version when refused.

    Raises:
        PantheonError: ONNX and scikit-learn do not agree.
    """
    name = load_spec(run).name
    compared: dict[str, Any] = read_json(run.need("comparison.json", "model_comparison"))
    note = read_json(run.need("evaluation/chosen.json", "evaluate")).get("note", "")
    folder = write_bundle(run)
    version: str | None = None
    with store.serialised(name):
        while True:
            champion = store.alias(name, "champion")
            current = champion.version if champion else None
            if current != (compared["deployed"] or {}).get("version"):
                compared = Comparison(run).all(store)
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
                serve(run.state, name)
                break
    outcome = {"decision": decision, "model": name, "version": version, "reason": reason}
    write_json(run.path("outcome.json"), outcome)
    return outcome


def serve(state: Path, name: str) -> None:
    """Have the button of a deployment serve the champion of ``name``. Whoever approves a challenger calls this too."""
    write_json(state / "state" / "serving.json", {"model": name})


def _metadata(run: Run, folder: Path) -> dict[str, Any]:
    """What a list of versions shows without opening each."""
    lineage, metrics = read_json(folder / "lineage.json"), read_json(folder / "metrics.json")
    metric = metrics["primary"]["name"]
    recorded = lineage["version_control"]
    known = {"version_control": {"commit": recorded["commit"], "data_md5": recorded["data"]["md5"]}} if recorded else {}
    return known | {
        "run": run.id,
        "data": {"name": lineage["data"]["name"], "sha256": lineage["data"]["sha256"]},
        "task": metrics["task"],
        "chosen": metrics["chosen"],
        "metric": {"name": metric, "value": metrics["held_out"][metric]},
        "code": {"version": lineage["code"]["version"], "commit": lineage["code"]["commit"]},
    }

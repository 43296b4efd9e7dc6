"""The forms that begin something: a run of the workflow, and an order."""

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.kubeflow.client import Kubeflow
from pantheon.kubeflow.pipelines import kinds
from pantheon.state import published
from pantheon.workflow.run import Params

PARAMS = {  # of a run → what the form says of it
    "trials": "tuning trials per family of models",
    "folds": "folds of cross-validation",
    "seed": "random seed",
    "metric": "ranks the models, such as roc_auc or rmse",
    "test_share": "held-out share of rows, 0 to 0.9",
    "tuning_rows": "rows that tuning uses, at most",
    "time_limit": "seconds of tuning, at most",
    "threads": "threads of every fit",
    "approval": "auto, or required: a person approves the model",
}
SECTIONS: dict[str, tuple[tuple[str, str, str, bool], ...]] = {  # title → name, label, example, whether it is required
    "Model": (
        ("name", "Name", "sales-2024", False),
        ("model.url", "Repository of the model", "https://git.example.com/team/model.git", True),
        ("model.commit", "Commit", "8c1f0d2", True),
        ("model.credentials", "Credentials", "a file's name in secrets/orders", False),
    ),
    "Data": (
        ("data.url", "Repository of the data (DVC)", "https://git.example.com/team/data.git", True),
        ("data.commit", "Commit", "51ab9e7", True),
        ("data.path", "File", "data/sales.csv", True),
        ("data.target", "Column to predict", "price", False),
        ("data.spec", "Spec", "data/sales.toml", False),
        ("data.credentials", "Credentials", "a file's name in secrets/orders", False),
        ("data.remote", "Credentials of DVC's remote", "a file's name in secrets/orders", False),
    ),
}


def new_key() -> str:
    """Return a key for one showing of the form: sending it twice orders once."""
    return str(uuid.uuid4())


def params_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a form; empty fields are left out. What is not a number stays text, which is refused."""
    types = {field.name: field.type for field in fields(Params)}
    found: dict[str, Any] = {}
    for name in PARAMS:
        text = form.get(f"params.{name}", "").strip()
        if not text:
            continue
        try:
            found[name] = int(text) if types[name] is int else float(text) if types[name] is float else text
        except ValueError:
            found[name] = text
    return found


def order_of(form: Mapping[str, str], profile: str) -> bytes:
    """Return a form's order as JSON."""
    order: dict[str, Any] = {"model": {}, "data": {}, "params": params_of(form), "namespace": profile}
    for section in SECTIONS.values():
        for name, _, _, _ in section:
            part, _, field = name.rpartition(".")
            (order[part] if part else order)[field] = form.get(name, "").strip()
    return json.dumps({**order, "note": form.get("note", "").strip()}).encode()


def start(client: Kubeflow, state: Path, form: Mapping[str, str], profile: str) -> str:
    """Start a run of the workflow, as `bin/pantheon run` does; return the name of its PipelineRun.

    Raises:
        PantheonError: a parameter is not valid, or the service does not answer.
    """
    given, settings = params_of(form), published(state)
    defaults = {name: getattr(settings, name) for name in ("trials", "seed", "folds", "metric", "approval")}
    params = {name: value for name, value in defaults.items() if value not in (None, "")} | given
    Params.read(params)
    if not form.get("dataset"):
        raise PantheonError("no dataset is named.", "Choose one.")
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    spec = {
        "pipelineRef": {"name": kinds.BUILT_IN},
        "parameters": {**params, "run": run, "dataset": form["dataset"], "tier": settings.tier},
    }
    metadata = {"name": f"workflow-{run}", "namespace": profile}
    manifest = {"apiVersion": kinds.OWN, "kind": kinds.RUN.name, "metadata": metadata, "spec": spec}
    client.apply(json.dumps(manifest).encode(), profile)
    return metadata["name"]

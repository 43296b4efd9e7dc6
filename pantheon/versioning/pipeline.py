"""The workflow as DVC's pipeline: the stages of ``dvc.yaml`` with their outputs, and the groups of ``params.yaml``."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pantheon.errors import PantheonError
from pantheon.files import read_json
from pantheon.state import StageRecord
from pantheon.workflow import graph
from pantheon.workflow.run import Params, Run

TEMPLATE = Path(__file__).resolve().parent / "template"
SOURCE = "data/source"
TRAINING = "data/train.parquet"  # the training rows
IN_GIT = ("metrics.json", "scores.json")  # small outputs, available without the data

# The groups of parameters in params.yaml, and the comment on every parameter.
GROUPS: dict[str, dict[str, str]] = {
    "split": {"test_share": "the held-out share of rows"},
    "train": {
        "seed": "random seed",
        "trials": "tuning trials per model family",
        "folds": "cross-validation folds",
        "tuning_rows": "maximum number of rows for cross-validation and tuning",
        "time_limit": "maximum seconds of tuning; a run that reaches it is not reproducible",
        "threads": "fixed, so that floats are added in the same order everywhere",
        "metric": "ranks the models; empty: the task's default",
    },
    "deploy": {"approval": "auto or required; used when a run is published, not by the stages here"},
}


@cache
def outputs() -> Mapping[str, tuple[str, ...]]:
    """Return stage → the files and folders that it writes, both in a run's folder and in the repository."""
    stages = parse((TEMPLATE / "dvc.yaml").read_text(encoding="utf-8"), "dvc.yaml")["stages"]
    found = {}
    for name, stage in stages.items():
        entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
        found[name] = tuple(next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries)
    return found


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse a YAML file that must be a mapping.

    Raises:
        PantheonError: it is not valid YAML, or not a mapping.
    """
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise PantheonError(f"{name} is not valid YAML: {' '.join(str(error).split())}.", "Correct it.") from None
    if not isinstance(found, dict):
        raise PantheonError(f"{name} is not valid for DVC: it must be a mapping.", "Correct it.")
    return found


def dump(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)


def params_text(params: Params, there: str = "") -> str:
    """Return the text of ``params.yaml`` with the run's parameters.

    Args:
        there: the current text of the file; entries that a user has added are kept.

    Raises:
        PantheonError: the current text is not valid.
    """
    values = asdict(params)
    ours = {group: {name: values[name] for name in names} for group, names in GROUPS.items()}
    before = parse(there, "params.yaml")
    groups = {group: {**_entries(before, group), **ours[group]} for group in GROUPS}
    merged = {**before, **groups}
    if there and merged == before:
        return there
    if merged != ours:  # with a user's own entries; only comments are lost
        return dump(merged)
    lines = ["# The run's parameters. To try another value as an experiment: dvc exp run -S train.trials=20\n"]
    for group, names in GROUPS.items():
        lines.append(f"{group}:\n")
        for name, comment in names.items():
            lines.append(f"  {dump({name: values[name]}).rstrip()} # {comment}\n")
    return "".join(lines)


def read_params(path: Path) -> Params:
    """Read the parameters in a ``params.yaml``; missing ones have their default.

    Raises:
        PantheonError: a value is not valid, or the file does not exist.
    """
    if not path.is_file():
        raise PantheonError(f"{path} does not exist.", "Run stages in the repository's folder.")
    raw = parse(path.read_text(encoding="utf-8"), path.name)
    values: dict[str, Any] = {}
    for group, names in GROUPS.items():
        entries = _entries(raw, group)
        values |= {name: entries[name] for name in names if name in entries}
    return Params.read(values)


def _entries(raw: Mapping[str, Any], group: str) -> dict[str, Any]:
    entries = raw.get(group) or {}
    if not isinstance(entries, dict):
        raise PantheonError(
            f"{group} in params.yaml must be a group of parameters.", f"For example: {', '.join(GROUPS[group])}."
        )
    return entries


class Workspace(Run):
    """The repository's folder, or a copy below it that ``dvc exp run --temp`` has created.

    It reads parameters from ``params.yaml``, and data and extensions from the folder: a checkout needs nothing else.
    """

    @property
    def state(self) -> Path:
        return Path(os.environ.get("STATE_DIR") or self.folder)

    @property
    def extensions(self) -> Path:
        return self.folder / "extensions"

    @property
    def by(self) -> dict[str, str]:
        """Return stage → what ran it in the recorded run, if it was not the workflow's own function."""
        path = self.folder / "run.json"
        found: dict[str, str] = read_json(path).get("by", {}) if path.exists() else {}
        return found

    @property
    def params(self) -> Params:
        return read_params(self.folder / "params.yaml")

    def source(self, path: str) -> Path:
        return self.folder / SOURCE / Path(path).name

    def repeat(self, stage: str) -> str:
        """Run a stage; return a line for DVC's output.

        Raises:
            PantheonError: the stage failed, or in the recorded run it was not run by the workflow.
        """
        graph.check_stage(stage)
        if by := self.by.get(stage):
            raise PantheonError(
                f"in this version {stage} was done by {by}, which only its notebooks can repeat.",
                f'To run it with the workflow instead, remove "{stage}" from "by" in run.json.',
            )
        summary = graph.run_stage(stage, self, None)
        return ", ".join([stage, *(f"{key.replace('_', ' ')} {value}" for key, value in summary.items())])

    def mark(self, record: StageRecord) -> None:
        """Do nothing: DVC records the stages."""

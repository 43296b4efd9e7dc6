"""What a repository holds of the workflow: its stages, what each writes, and its parameters in groups."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pantheon.errors import PantheonError
from pantheon.workflow.run import Params

TEMPLATE = Path(__file__).resolve().parent / "template"
SOURCE = "data/source"
TRAINING = "data/train.parquet"  # the rows that the model has learnt from
IN_GIT = ("metrics.json", "scores.json")  # the outputs that are figures: small, and seen without the data

# Where params.yaml has the run's parameters, and what it says of each.
GROUPS: dict[str, dict[str, str]] = {
    "split": {"test_share": "the held-out share of rows"},
    "train": {
        "seed": "of every random choice",
        "trials": "of hyperparameters, for each family of models",
        "folds": "of cross-validation",
        "tuning_rows": "that cross-validation and tuning look at, at most",
        "time_limit": "seconds of tuning, at most; a run that reaches it is not reproducible",
        "threads": "fixed, so that sums are added in the same order everywhere",
        "metric": "to rank models by; empty: the task's own",
    },
    "deploy": {"approval": "auto or required; no stage here reads it, the run that is published does"},
}


@cache
def outputs() -> Mapping[str, tuple[str, ...]]:
    """Stage → the files and folders that it writes, in a run's folder as in the repository."""
    stages = parse((TEMPLATE / "dvc.yaml").read_text(encoding="utf-8"), "dvc.yaml")["stages"]
    found = {}
    for name, stage in stages.items():
        entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
        found[name] = tuple(next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries)
    return found


def parse(text: str, name: str) -> dict[str, Any]:
    """A YAML file that is a mapping.

    Raises:
        PantheonError: it is none.
    """
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise PantheonError(f"{name} is not valid YAML: {' '.join(str(error).split())}.", "Correct it.") from None
    if not isinstance(found, dict):
        raise PantheonError(f"{name} is not as DVC has it: a mapping is needed.", "Correct it.")
    return found


def dump(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)


def params_text(params: Params, there: str = "") -> str:
    """``params.yaml`` with the run's parameters.

    Args:
        there: the file as it is; what somebody has added to it stays.

    Raises:
        PantheonError: what is there is not as it should be.
    """
    values = asdict(params)
    ours = {group: {name: values[name] for name in names} for group, names in GROUPS.items()}
    before = parse(there, "params.yaml")
    known = {group: {**_entries(before, group), **ours[group]} for group in GROUPS}
    merged = {**before, **known}
    if there and merged == before:
        return there
    if merged != ours:  # with entries of somebody's own: comments are lost, nothing else
        return dump(merged)
    lines = ["# The run's parameters. Another value as an experiment: dvc exp run -S train.trials=20\n"]
    for group, names in GROUPS.items():
        lines.append(f"{group}:\n")
        for name, words in names.items():
            lines.append(f"  {dump({name: values[name]}).rstrip()} # {words}\n")
    return "".join(lines)


def read_params(path: Path) -> Params:
    """The parameters in a ``params.yaml``; what it does not say has its default.

    Raises:
        PantheonError: a value is not as it should be, or there is no such file.
    """
    if not path.is_file():
        raise PantheonError(f"there is no {path}.", "Stages run in the repository's own folder.")
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
            f"{group} in params.yaml must be a group of parameters.", f"Such as: {', '.join(GROUPS[group])}."
        )
    return entries

"""The template of trials: which parameter of a trial stands where, and the substitution of ``${trialParameters.x}``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pantheon.kubeflow.contract import Object, Refused
from pantheon.kubeflow.katib.space import Assignments

PLACEHOLDER = re.compile(r"\$\{trialParameters\.(.+?)\}")
META = re.compile(r"\$\{trialSpec\.(.+?)\}")
INDEXED = re.compile(r"(Annotations|Labels)\[(.+)\]")
META_KEYS = ("Name", "Namespace", "Kind", "APIVersion")
PATH = "spec.trialTemplate"


def trial_spec(trial: Mapping[str, Any]) -> Object:
    """Return the template's trialSpec.

    Raises:
        Refused: it is missing, or in a ConfigMap.
    """
    if trial.get("configMap") is not None:
        raise Refused(f"{PATH}.configMap", "needs a cluster.", f"Write the template at {PATH}.trialSpec.")
    spec: Object | None = trial.get("trialSpec")
    if not spec:
        raise Refused(f"{PATH}.trialSpec", "is missing.", "Write the Job that a trial runs.")
    return spec


def check(trial: Mapping[str, Any], names: Sequence[str]) -> None:
    """Check ``trialParameters`` against the search space and the placeholders of ``trialSpec``.

    Args:
        names: of the parameters of the search space.

    Raises:
        Refused: one is not used, unknown, or named twice.
    """
    spec, path = trial_spec(trial), f"{PATH}.trialParameters"
    entries = trial.get("trialParameters") or []
    if not entries:
        raise Refused(path, "is missing.", "Say which parameter stands for which ${trialParameters.NAME}.")
    used = {name for text in texts(spec) for name in PLACEHOLDER.findall(text)}
    seen: dict[str, set[str]] = {"name": set(), "reference": set()}
    for index, entry in enumerate(entries):
        for key, before in seen.items():
            value = entry.get(key) or ""
            if not value:
                raise Refused(f"{path}[{index}].{key}", "is missing.")
            if value in before:
                raise Refused(f"{path}[{index}].{key}", f"{value!r} is given twice.", "Remove one of them.")
            before.add(value)
        name, reference = entry["name"], entry["reference"]
        if "{" in name or "}" in name:
            raise Refused(f"{path}[{index}].name", f"{name!r} must not have braces.")
        if META.fullmatch(reference):
            _meta(reference, {"name": "", "namespace": ""}, spec, f"{path}[{index}].reference")
        elif reference not in names:
            cure = f"Parameters: {', '.join(names)}."
            raise Refused(f"{path}[{index}].reference", f"there is no parameter {reference!r}.", cure)
        if name not in used:
            cure = f"Write ${{trialParameters.{name}}} where its value belongs."
            raise Refused(f"{path}[{index}].name", f"{name!r} is not in the trialSpec.", cure)
    if unknown := used - seen["name"]:
        name = min(unknown)
        raise Refused(
            f"{PATH}.trialSpec",
            f"${{trialParameters.{name}}} is not one of trialParameters.",
            f"Add {name} to {PATH}.trialParameters.",
        )
    if left := [name for name in names if name not in seen["reference"]]:
        raise Refused(path, f"the parameter {left[0]!r} is searched, but no trial gets its value.", "Refer to it.")


def fill(trial: Mapping[str, Any], values: Assignments, name: str, namespace: str) -> Object:
    """Return the trialSpec of one trial, with its values and its name."""
    spec = trial_spec(trial)
    stands: dict[str, str] = {}
    for entry in trial.get("trialParameters") or []:
        reference = entry["reference"]
        if META.fullmatch(reference):
            stands[entry["name"]] = _meta(reference, {"name": name, "namespace": namespace}, spec, PATH)
        else:
            stands[entry["name"]] = values[reference]
    filled: Object = replace(spec, stands)
    metadata = {**(filled.get("metadata") or {}), "name": name, "namespace": namespace}
    return {**filled, "metadata": metadata}


def replace(given: Any, stands: Mapping[str, str]) -> Any:
    """Return a JSON value whose placeholders are replaced; those of other names stay."""
    if isinstance(given, str):
        return PLACEHOLDER.sub(lambda found: stands.get(found[1], found[0]), given)
    if isinstance(given, list):
        return [replace(each, stands) for each in given]
    if isinstance(given, dict):
        return {key: replace(each, stands) for key, each in given.items()}
    return given


def texts(given: Any) -> list[str]:
    """Return all texts of a JSON value."""
    if isinstance(given, str):
        return [given]
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    return [text for part in parts for text in texts(part)]


def _meta(reference: str, own: Mapping[str, str], spec: Object, path: str) -> str:
    """Return what ``${trialSpec.Name}`` and its like stand for."""
    found = META.fullmatch(reference)
    assert found
    key = found[1]
    if indexed := INDEXED.fullmatch(key):
        table = (spec.get("metadata") or {}).get(indexed[1].lower()) or {}
        if indexed[2] not in table:
            raise Refused(path, f"the trialSpec has no {indexed[1][:-1].lower()} {indexed[2]!r}.", "Add it.")
        return str(table[indexed[2]])
    if key not in META_KEYS:
        cure = f"There are: {', '.join(META_KEYS)}, Annotations[KEY], Labels[KEY]."
        raise Refused(path, f"trials have no {key!r}.", cure)
    return {**own, "kind": str(spec.get("kind", "")), "apiversion": str(spec.get("apiVersion", ""))}[key.lower()]

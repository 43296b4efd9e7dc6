"""A model built elsewhere → a bundle that says so, and a version in the store. Runs in the workflow's environment."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.foreign.checks import check_graph, limits, read_metrics, read_object, sha256, try_out
from pantheon.store import ModelStore
from pantheon.store.records import check_alias, check_name
from pantheon.workflow.run import now, write_json


def publish(
    store: ModelStore, folder: Path, name: str, alias: str, *, by: str, note: str, file: str, trust: bool
) -> dict[str, Any]:
    """Check what lies in ``folder`` (``bundle/``, ``model.onnx`` or ``model.joblib``) and publish it.

    Args:
        name: the model's name in the store.
        alias: what names it then, such as ``challenger``; another version that it named is replaced.
        file: what people call the file.
        trust: a pickle may be loaded, which runs the code in it.

    Returns:
        ``{"model", "version", "alias", "checked"}``, the last in words.

    Raises:
        PantheonError: it is not fit to be served, and nothing was published; or it was published, but the alias could
            not be set, which is said.
    """
    check_name(name), check_alias(alias)
    before = store.alias(name, alias)
    with tempfile.TemporaryDirectory(prefix="publish-") as made:  # a container may not write into what is handed over
        bundle = Path(made) / "bundle"
        outside: dict[str, Any] = {"file": file, "published": now(), "by": by}
        signature = lay_out(folder, bundle, name, outside, trust)
        lineage, metrics = complete(bundle, name, signature, outside)
        version = store.publish(name, bundle, metadata(signature, metrics, lineage))
    told = note or f"built elsewhere: {file}"
    try:
        store.promote(name, version, alias, expected=before.version if before else None, by=by, note=told)
    except PantheonError as error:
        raise PantheonError(
            f"{name} version {version} is published, but is not the {alias}: {error.cause}",
            f"Look at it: bin/pantheon models show {version}; "
            f"then: bin/pantheon models promote {version} --alias {alias}",
            error.status,
        ) from None
    return {"model": name, "version": version, "alias": alias, "checked": checked_words(outside)}


def lay_out(folder: Path, bundle: Path, name: str, outside: dict[str, Any], trust: bool) -> dict[str, Any]:
    """``folder`` → ``bundle`` with the ONNX model; the signature. What was done goes into ``outside``."""
    if (folder / "model.joblib").is_file():
        if not trust:
            raise PantheonError(
                f"{outside['file']} is a pickle: loading it runs the code in it.", "If you trust it: --trust"
            )
        from pantheon.foreign import convert  # loads scikit-learn's converters

        signature = read_object(folder / "signature.json") if (folder / "signature.json").exists() else None
        outside |= {"format": "scikit-learn", "sha256": sha256(folder / "model.joblib")}
        model, signature, agreed = convert.convert(folder / "model.joblib", signature, name, outside["file"])
        outside |= agreed
        bundle.mkdir()
        (bundle / "model.onnx").write_bytes(model.SerializeToString())
    elif (folder / "bundle").is_dir():
        outside |= {"format": "bundle", "sha256": sha256(folder / "bundle" / "model.onnx")}
        shutil.copytree(folder / "bundle", bundle)
        given = folder / "signature.json"  # instead of the bundle's own
        signature = read_object(given if given.exists() else bundle / "signature.json")
    else:
        outside |= {"format": "onnx", "sha256": sha256(folder / "model.onnx")}
        bundle.mkdir()
        shutil.copyfile(folder / "model.onnx", bundle / "model.onnx")
        signature = read_object(folder / "signature.json")
    return signature | {"name": name}


def complete(
    bundle: Path, name: str, signature: dict[str, Any], outside: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check the bundle, and write what it lacks; its lineage and metrics."""
    limits(bundle)
    write_json(bundle / "signature.json", signature)
    check_graph(bundle / "model.onnx")
    outside["rows_checked"] = try_out(bundle, name)
    metrics = read_metrics(bundle / "metrics.json")
    claimed = read_object(bundle / "lineage.json") if (bundle / "lineage.json").exists() else {}
    lineage = {"origin": "outside", "outside": outside, "data": said_data(claimed), "claimed": claimed}
    write_json(bundle / "lineage.json", lineage)
    if not (bundle / "card.md").exists():
        (bundle / "card.md").write_text(card(name, signature, outside), encoding="utf-8")
    return lineage, metrics


def checked_words(outside: dict[str, Any]) -> str:
    agreed = ", ONNX and scikit-learn agree" if "agreement" in outside else ""
    return f"{outside['format']}, {outside['rows_checked']} rows answered as the signature says{agreed}"


def said_data(claimed: dict[str, Any]) -> dict[str, Any]:
    """What a bundle's own lineage says of its data; nobody here has seen it."""
    data = claimed.get("data")
    data = data if isinstance(data, dict) else {}
    return {key: data.get(key) if isinstance(data.get(key), (str, int)) else None for key in ("name", "sha256", "rows")}


def metadata(signature: dict[str, Any], metrics: dict[str, Any], lineage: dict[str, Any]) -> dict[str, Any]:
    """What a list of versions shows without opening each."""
    found: dict[str, Any] = {"origin": "outside", "task": signature["task"], "chosen": "built elsewhere"}
    found["data"] = {key: lineage["data"][key] for key in ("name", "sha256")}
    name = (metrics.get("primary") or {}).get("name")
    value = (metrics.get("held_out") or {}).get(name)
    return found | ({"metric": {"name": name, "value": value}} if value is not None else {})


def card(name: str, signature: dict[str, Any], outside: dict[str, Any]) -> str:
    what = "which class" if signature["task"] == "classification" else "which number"
    return (
        f"# {name}\n\nBuilt elsewhere: it says {what} `{signature['output']['name']}` is, from "
        f"{len(signature['inputs'])} inputs.\n\n## What is known of it\n\n"
        f"- Published {outside['published']} by {outside['by'] or 'nobody named'}, as {outside['format']}.\n"
        f"- Asked about {outside['rows_checked']} rows that its signature allows, it answered each.\n"
        "- How good it is, and on what data it was trained, this deployment has not seen.\n"
    )

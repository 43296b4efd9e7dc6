"""Convert a model built elsewhere to a bundle, and publish it in the store. Runs in the workflow's environment."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.files import write_json
from pantheon.store import ModelStore
from pantheon.store.records import check_alias, check_name
from pantheon.workflow.run import now
from serving.external.checks import check_graph, compare, limits, read_metrics, read_object, sha256, try_out

Prepared = dict[str, Any]  # the "metadata" for the list of versions, and what was "checked" in words


def prepare(folder: str | Path, bundle: str | Path, name: str, by: str, file: str) -> Prepared:
    """Create and check ``bundle`` from the content of ``folder``; arguments and errors as for ``publish``."""
    folder, bundle = Path(folder), Path(bundle)
    outside: dict[str, Any] = {"file": file, "published": now(), "by": by}
    signature = lay_out(folder, bundle, name, outside)
    expected = folder / "expected.npz"
    signature, lineage, metrics = complete(bundle, name, signature, outside, expected if expected.exists() else None)
    return {"metadata": metadata(signature, metrics, lineage), "checked": checked_words(outside)}


def publish(
    store: ModelStore,
    folder: Path,
    name: str,
    alias: str,
    *,
    by: str,
    note: str,
    file: str,
    prepare: Callable[[Path, Path, str, str, str], Prepared] = prepare,
) -> dict[str, Any]:
    """Check the content of ``folder`` and publish it.

    It has ``bundle/`` or ``model.onnx``, and for a model that ``conversion`` converted, ``converted.json`` and
    ``expected.npz``. Nothing here loads anything but ONNX.

    Args:
        name: the model's name in the store.
        alias: what names it then, such as ``challenger``; another version that it named is replaced.
        file: what people call the file.
        prepare: as the function ``prepare``; it runs the model.

    Returns:
        ``{"model", "version", "alias", "checked"}``, the last in words.

    Raises:
        PantheonError: it is not fit to be served, and nothing was published; or it was published, but the alias could
            not be set, which is said.
    """
    check_name(name), check_alias(alias)
    before = store.alias(name, alias)
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=folder) as made:
        bundle = Path(made) / "bundle"
        prepared = prepare(folder, bundle, name, by, file)
        version = store.publish(name, bundle, prepared["metadata"])
    remark = note or f"built elsewhere: {file}"
    try:
        store.promote(name, version, alias, expected=before.version if before else None, by=by, note=remark)
    except PantheonError as error:
        raise PantheonError(
            f"{name} version {version} is published, but is not the {alias}: {error.cause}",
            f"Check it with `bin/pantheon models show {version}`, "
            f"then run `bin/pantheon models promote {version} --alias {alias}`",
            error.status,
        ) from None
    return {"model": name, "version": version, "alias": alias, "checked": prepared["checked"]}


def lay_out(folder: Path, bundle: Path, name: str, outside: dict[str, Any]) -> dict[str, Any]:
    """Create ``bundle`` with the ONNX model from ``folder``. Return the signature; details are added to ``outside``."""
    if (folder / "bundle").is_dir():
        outside |= {"format": "bundle", "sha256": sha256(folder / "bundle" / "model.onnx")}
        shutil.copytree(folder / "bundle", bundle)
        given = folder / "signature.json"  # replaces the bundle's own
        signature = read_object(given if given.exists() else bundle / "signature.json")
    else:
        outside |= {"format": "onnx", "sha256": sha256(folder / "model.onnx")}
        bundle.mkdir()
        shutil.copyfile(folder / "model.onnx", bundle / "model.onnx")
        signature = read_object(folder / "signature.json")
    if (folder / "converted.json").exists():
        told = read_object(folder / "converted.json")
        outside |= {key: str(told.get(key)) for key in ("format", "sha256")}
        outside["packages"] = {str(key): str(value) for key, value in dict(told.get("packages") or {}).items()}
    return signature | {"name": name}


def complete(
    bundle: Path, name: str, signature: dict[str, Any], outside: dict[str, Any], expected: Path | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Adapt and check the bundle, and add missing files. Return its signature, lineage and metrics.

    Args:
        expected: rows, and what the original answers to them, for a converted model.
    """
    limits(bundle)
    check_graph(bundle / "model.onnx")
    signature = adapted(bundle / "model.onnx", signature, outside)
    write_json(bundle / "signature.json", signature)
    if expected:
        outside["agreement"] = compare(bundle / "model.onnx", expected, outside["format"])
    outside["rows_checked"] = try_out(bundle, name)
    metrics = read_metrics(bundle / "metrics.json")
    claimed = read_object(bundle / "lineage.json") if (bundle / "lineage.json").exists() else {}
    lineage = {"origin": "outside", "outside": outside, "data": said_data(claimed), "claimed": claimed}
    write_json(bundle / "lineage.json", lineage)
    if not (bundle / "card.md").exists():
        (bundle / "card.md").write_text(card(name, signature, outside), encoding="utf-8")
    return signature, lineage, metrics


def adapted(path: Path, signature: dict[str, Any], outside: dict[str, Any]) -> dict[str, Any]:
    """Give the model at ``path`` the served form; return its signature. What was changed is added to ``outside``."""
    import onnx

    from serving.external.adapt import adapt

    model, fitting, notes = adapt(onnx.load(str(path)), signature)
    told = notes if "packages" not in outside else [each for each in notes if each != "names"]  # they were ours
    if notes:
        path.write_bytes(model.SerializeToString())
    if told:
        outside["adapted"] = list(dict.fromkeys(told))
    return fitting


def checked_words(outside: dict[str, Any]) -> str:
    agreed = f", ONNX and {outside['format']} agree" if "agreement" in outside else ""
    changed = f", adapted ({'; '.join(outside['adapted'])})" if "adapted" in outside else ""
    return f"{outside['format']}{changed}, {outside['rows_checked']} rows predicted according to the signature{agreed}"


def said_data(claimed: dict[str, Any]) -> dict[str, Any]:
    """Return the data in the bundle's own lineage, which cannot be verified here."""
    data = claimed.get("data")
    data = data if isinstance(data, dict) else {}
    return {key: data.get(key) if isinstance(data.get(key), (str, int)) else None for key in ("name", "sha256", "rows")}


def metadata(signature: dict[str, Any], metrics: dict[str, Any], lineage: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata for the list of versions."""
    found: dict[str, Any] = {"origin": "outside", "task": signature["task"], "chosen": "built elsewhere"}
    found["data"] = {key: lineage["data"][key] for key in ("name", "sha256")}
    name = (metrics.get("primary") or {}).get("name")
    value = (metrics.get("held_out") or {}).get(name)
    return found | ({"metric": {"name": name, "value": value}} if value is not None else {})


def card(name: str, signature: dict[str, Any], outside: dict[str, Any]) -> str:
    changed = f"- Adapted for serving: {'; '.join(outside['adapted'])}.\n" if "adapted" in outside else ""
    what = "which class" if signature["task"] == "classification" else "which number"
    return (
        f"# {name}\n\nBuilt elsewhere: it predicts {what} `{signature['output']['name']}` is, from "
        f"{len(signature['inputs'])} inputs.\n\n## Facts\n\n"
        f"- Published {outside['published']} by {outside['by'] or 'an unknown user'}, as {outside['format']}.\n"
        f"{changed}- It predicted {outside['rows_checked']} test rows that its signature allows.\n"
        "- Its quality and its training data are unknown to this deployment.\n"
    )

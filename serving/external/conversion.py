"""Convert a model of another library to ONNX: ``python -m serving.external.conversion …``, a task without state.

Standard input is a tar archive of the model's files. Events are JSON lines on standard output: parts of files, in
base64, then ``converted``. The original is loaded only here, in a process of its own that has no network, no secrets,
and limits of time and memory: loading a pickle runs the code in it.
"""

import argparse
import base64
import json
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pantheon import files
from pantheon.errors import PantheonError
from serving.external import limited
from serving.external.archive import unpack

PART = 300_000  # bytes of a file in one event
MADE = ("model.onnx", "expected.npz")
# In the archive, one of these; the module and its function that convert it.
RULES = {
    "model.joblib": ("pickles", "convert"),
    "model.json": ("boosting", "xgboost_file"),
    "model.ubj": ("boosting", "xgboost_file"),
    "model.txt": ("boosting", "lightgbm_file"),
    "model.keras": ("networks", "keras_file"),
    "model.h5": ("networks", "keras_file"),
    "saved_model": ("networks", "saved_model"),
    "saved_model.zip": ("networks", "zipped"),
}


def convert(folder: str, out: str, name: str, file: str) -> dict[str, Any]:
    """Convert the model in ``folder`` and write the files ``MADE`` to ``out``.

    Args:
        name: the model's name in the store.
        file: what people call the file.

    Returns:
        What is known of it: ``format``, ``sha256``, ``packages`` (versions by name) and ``signature``.

    Raises:
        PantheonError: it cannot be converted.
    """
    from importlib import import_module

    (original,) = [Path(folder) / known for known in RULES if (Path(folder) / known).exists()]
    digest = files.sha256(original / "saved_model.pb" if original.is_dir() else original)
    given = Path(folder) / "signature.json"
    signature = read_signature(given) if given.exists() else None
    module, function = RULES[original.name]
    made = getattr(import_module(f"serving.external.{module}"), function)(original, signature, name, file)
    (Path(out) / "model.onnx").write_bytes(made.model)
    np.savez(Path(out) / "expected.npz", X=made.X, expected=made.expected)
    packages = {each: version for each in made.packages if (version := version_of(each))}
    return {"format": made.format, "sha256": digest, "packages": packages, "signature": made.signature}


def version_of(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def read_signature(path: Path) -> dict[str, Any]:
    """Read the signature that was given with the model; ``checks`` examines it later.

    Raises:
        PantheonError: it is not a JSON object with a list of inputs.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PantheonError(f"signature.json is not JSON: {error}.") from None
    inputs = found.get("inputs") if isinstance(found, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(e, dict) and "name" in e and "type" in e for e in inputs):
        raise PantheonError("signature.json has no list of inputs, each with a name and a type.")
    whole: dict[str, Any] = found
    return whole


def report(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=args.work or None) as made:
        folder, out = Path(made) / "files", Path(made) / "out"
        for each in (folder, out):
            each.mkdir()
        unpack(sys.stdin.buffer, folder, args.files)
        given = [str(folder), str(out), args.model, args.file]
        found = limited.run(
            "serving.external.conversion:convert", given, Path(made), "conversion", args.file, bare=True
        )
        for name in MADE:
            with (out / name).open("rb") as file:
                while part := file.read(PART):
                    report({"event": "part", "file": name, "data": base64.b64encode(part).decode()})
    report({"event": "converted", **found})


def main() -> int:
    top = argparse.ArgumentParser(prog="serving.external.conversion", description=__doc__)
    top.add_argument("--files", required=True, type=int, help="how many the archive on standard input has")
    top.add_argument("--model", required=True)
    top.add_argument("--file", default="")
    top.add_argument("--work", default="", help="a folder for temporary files")
    try:
        run(top.parse_args())
    except PantheonError as error:
        report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())

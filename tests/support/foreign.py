"""Models of other libraries: convert them as the task does, in this process or in another environment."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from pantheon.deployment.model_convert import Parts
from pantheon.deployment.model_files import chosen, packed
from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from serving.external import conversion
from serving.external.publish import publish
from serving.model.predictor import Predictor
from tests.support import ROOT


def convert_here(folder: Path, file: str = "theirs.joblib", name: str = "robots") -> None:
    """Convert the model in ``folder`` in this process, and add what is sent to be published."""
    keep(folder, conversion.convert(str(folder), str(folder), name, file))


def keep(folder: Path, found: dict[str, Any]) -> None:
    (folder / "signature.json").write_text(json.dumps(found["signature"]))
    (folder / "converted.json").write_text(json.dumps({key: found[key] for key in ("format", "sha256", "packages")}))


def convert(path: Path, folder: Path, signature: Path | None = None, **environment: str) -> dict[str, Any]:
    """Convert a file with the task's program in its own environment, into ``folder``; return what is known of it.

    Raises:
        PantheonError: as the task reports it.
    """
    file = chosen(str(path), str(signature or ""))
    environments.make([file.kind.environment])
    python = environments.folder_of(file.kind.environment) / "bin" / "python"
    command = [python, "-P", "-m", "serving.external.conversion", "--files", str(len(file.files)), "--model", "theirs"]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PUBLISH_SECONDS": "600"} | environment
    with packed(file.files) as archive:
        content = archive.read_bytes()
    command += ["--file", path.name]
    done = subprocess.run(command, input=content, env=variables, capture_output=True, check=False)
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert events, done.stderr.decode()
    folder.mkdir(parents=True, exist_ok=True)
    if events[-1]["event"] == "error":
        assert done.returncode == events[-1]["status"]
        raise PantheonError(*(events[-1][key] for key in ("cause", "cure", "status")))
    parts = Parts(folder)
    for event in events:
        parts(event)
    keep(folder, parts.found)
    return parts.found


class Spy:
    """In a pickle, it fails with what the code in it finds."""

    def __init__(self, finds: str) -> None:
        self.finds = finds

    def __reduce__(self) -> Any:
        return eval, (f"(_ for _ in ()).throw(RuntimeError(str({self.finds})))",)


def of_xgboost(file: Path) -> Path:
    """Train a model of XGBoost in its environment and save it: two inputs, and class 1 where the first is above 20."""
    environments.make(["boosting"])
    code = "import sys, numpy, xgboost; X = numpy.arange(40.0).reshape(-1, 2); "
    code += "xgboost.XGBClassifier(n_estimators=3).fit(X, X[:, 0] > 20).save_model(sys.argv[1])"
    subprocess.run([environments.folder_of("boosting") / "bin" / "python", "-c", code, file], check=True)
    return file


def published(folder: Path, file: str, signature: dict[str, Any] | None = None) -> tuple[str, Predictor]:
    """Publish what ``folder`` has; return what was checked, and the button's predictor of it."""
    if signature:
        (folder / "signature.json").write_text(json.dumps(signature))
    store = FolderStore(folder.parent / "models")
    done = publish(store, folder, "theirs", "challenger", by="ada", note="", file=file)
    version = done["version"]
    return done["checked"], Predictor(store.get("theirs", version), "theirs", version)

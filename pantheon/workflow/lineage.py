"""Where a model comes from: data, code, parameters, environment and times."""

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pantheon
from pantheon.workflow import extensions
from pantheon.workflow.run import Run, now, read_json
from pantheon.workflow.spec import Spec

PACKAGES = ("numpy", "polars", "scikit-learn", "optuna", "skl2onnx", "onnx", "onnxruntime", "protobuf")
ROOT = Path(pantheon.__file__).resolve().parents[1]


def lineage(run: Run, spec: Spec) -> dict[str, Any]:
    """``lineage.json``'s content."""
    asked = run.asked
    loaded = read_json(run.path("reports/load_data.json")) if run.path("reports/load_data.json").exists() else {}
    lock = ROOT / "requirements" / "workflow.txt"
    recorded = run.path("version_control.json")  # where DVC is there, deploy comes after that
    return {
        "run": run.id,
        "created": now(),
        "data": {
            "name": asked["dataset"] or spec.name,
            "source": loaded.get("source"),
            "sha256": loaded.get("sha256"),
            "rows": loaded.get("rows", 0),
            "spec_sha256": _sha256(run.path("spec.toml")),
        },
        "code": {
            "version": pantheon.__version__,
            "commit": commit(ROOT),
            "lock_sha256": _sha256(lock) if lock.exists() else None,
            "extensions": extensions.load(run.extensions).files,
        },
        "parameters": asked["params"],
        "version_control": read_json(recorded) if recorded.exists() else None,
        "tier": asked.get("tier", ""),
        "environment": {
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
        },
        "times": {
            "asked": asked["created"],
            **{
                name: {k: stage[k] for k in ("started", "finished", "seconds") if k in stage}
                for name, stage in run.stages().items()
            },
        },
    }


def commit(root: Path) -> str | None:
    """The git commit that ``root`` is at, ``-dirty`` when files differ from it; None without git or its history."""
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "--verify", "HEAD")
    if head is None:
        return None
    return head + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

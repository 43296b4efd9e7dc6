"""The origin of a model: data, code, parameters, environment and times."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pantheon
from pantheon.files import read_json, sha256
from pantheon.workflow import extensions
from pantheon.workflow.bundle.records import Lineage, SplitOrigin
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.run import Run, now

PACKAGES = ("numpy", "polars", "scikit-learn", "optuna", "skl2onnx", "onnx", "onnxruntime", "protobuf")
ROOT = Path(pantheon.__file__).resolve().parents[1]


def split_of(run: Run, spec: Spec) -> SplitOrigin:
    """Return how the run's rows were split."""
    path = run.path("reports/split_data.json")
    repeated = read_json(path).get("repeated", {}) if path.exists() else {}
    return {
        "by": spec.split.by,
        "column": spec.split.column,
        "share": run.params.test_share,
        "together": bool(repeated.get("together")),
    }


def lineage(run: Run, spec: Spec) -> Lineage:
    """Return the content of ``lineage.json``."""
    request = run.record
    loaded = read_json(run.path("reports/load_data.json")) if run.path("reports/load_data.json").exists() else {}
    lock = ROOT / "requirements" / "workflow.txt"
    recorded = run.path("version_control.json")  # with DVC, the run is recorded before deploy
    found: Lineage = {
        "run": run.id,
        "created": now(),
        "data": {
            "name": request.dataset or spec.name,
            "source": loaded.get("source"),
            "sha256": loaded.get("sha256"),
            "rows": loaded.get("rows", 0),
            "spec_sha256": sha256(run.path("spec.toml")),
        },
        "code": {
            "version": pantheon.__version__,
            "commit": commit(ROOT),
            "lock_sha256": sha256(lock) if lock.exists() else None,
            "extensions": extensions.load(run.extensions).files,
        },
        "split": split_of(run, spec),
        "parameters": dict(request.params),
        "version_control": read_json(recorded) if recorded.exists() else None,
        "tier": request.tier,
        "environment": {
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
        },
        "times": {
            "asked": request.created,
            **{
                name: {k: v for k in ("started", "finished", "seconds") if (v := getattr(stage, k))}
                for name, stage in run.records().items()
            },
        },
    }
    if order := run.order:
        found["order"] = order
    return found


def commit(root: Path) -> str | None:
    """Return the git commit of ``root``, with ``-dirty`` if files differ from it; None without git or a history."""
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

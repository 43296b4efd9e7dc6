"""A deployment's state folder with one trained run of robots, an S3 of its own, and DVC as people call it."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pantheon import versioning
from pantheon.files import write_json
from pantheon.state import StageRecord
from pantheon.versioning import pipeline, repository, worktree
from pantheon.versioning.commands import Dvc, Git
from pantheon.versioning.record import Recorded
from pantheon.workflow.run import Params, Run
from tests.support import ROOT
from tests.support import s3_servers as servers
from tests.support.worker import reported

SPEC = (ROOT / "datasets" / "robots.toml").read_text().replace("rows = 5000", "rows = 1500")


@dataclass
class Deployment:
    """A state folder as odysseus has it, without its services."""

    state: Path
    server: servers.Server
    bucket: str

    @property
    def main(self) -> Path:
        return repository.work_tree_of(self.state)

    @property
    def git(self) -> Git:
        """In the user's work tree."""
        return Git(self.main, self.state)

    @property
    def history(self) -> Git:
        """In the bare repository."""
        return Git(repository.history_of(self.state), self.state)

    def record(self, run: Run) -> Recorded:
        found = versioning.record(run)
        assert found
        return found

    @property
    def environment(self) -> dict[str, str]:
        """A terminal's, with bin on its PATH; stages run in the tests' environment, which has the workflow's parts."""
        clean = {k: v for k, v in os.environ.items() if k not in ("STATE_DIR", "PYTHONPATH")}
        return clean | {"PATH": f"{ROOT}/bin:{os.environ['PATH']}", "WORKFLOW_ENVIRONMENT": sys.prefix}

    def dvc(self, *words: str, folder: Path | None = None, check: bool = True) -> str:
        """``dvc`` in a terminal; standard output, and errors where it fails."""
        done = subprocess.run(
            ["dvc", *words],
            cwd=folder or self.main,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def tasks(self, *words: str) -> list[dict[str, Any]]:
        """``pantheon.worker``, as an engine starts it; its events."""
        credentials = {"AWS_SHARED_CREDENTIALS_FILE": str(self.state / "secrets" / "s3" / "credentials")}
        environment = {**os.environ, **credentials, "STATE_DIR": str(self.state), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-m", "pantheon.worker", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return reported(done.stdout)

    def point(self, endpoint: str) -> None:
        """Where this deployment's S3 is."""
        store = {"kind": "s3", "bucket": self.bucket, "region": "us-east-1"}
        write_json(self.state / "state" / "store.json", store | {"endpoint": endpoint, "host_endpoint": endpoint})

    def commits(self) -> list[str]:
        """Subjects of the recorded history, newest first."""
        return self.history("log", "--format=%s", "runs").splitlines()

    def clean(self) -> None:
        """The user's work tree as the newest run has it, whatever a test has done to it."""
        git = self.git
        git("fetch", "-q", "../main.git", "refs/heads/runs")
        git("checkout", "-q", "-f", "-B", "main", "FETCH_HEAD")
        git("clean", "-q", "-ffdx", "-e", "/.dvc")
        for branch in set(git("branch", "--format=%(refname:short)").splitlines()) - {"main"}:
            git("branch", "-q", "-D", branch)
        (git.private / "pantheon-checkout").unlink(missing_ok=True)
        (self.main / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
        with Dvc(self.state) as dvc:
            dvc(self.main, "checkout", *worktree.targets(git, worktree.stages(self.main, worktree.LOCK)))

    def finished(self, name: str, spec: str = SPEC) -> Run:
        """A finished run of tiny files: what recording one needs, without training."""
        run = Run(self.state / "runs" / name)
        run.folder.mkdir()
        asked = {"id": name, "created": "", "dataset": "robots", "tier": "odysseus", "runner": "graph"}
        write_json(run.path("run.json"), asked | {"params": asdict(Params(trials=2))})
        run.path("spec.toml").write_text(spec)
        for stage, outputs in pipeline.outputs().items():
            run.mark(StageRecord(stage, "done", name, name))
            for output in outputs:
                folder = not Path(output).suffix
                path = run.path(output) / "file.txt" if folder else run.path(output)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{output} of {name}")
        metrics = {"primary": {"name": "roc_auc"}, "held_out": {"roc_auc": 0.9}, "chosen": "linear"}
        write_json(run.path("metrics.json"), metrics)
        write_json(run.path("scores.json"), {"roc_auc": 0.9})
        write_json(run.path("reports/load_data.json"), {"sha256": "", "seconds": 1.0})
        return run


def made(state: Path, server: servers.Server) -> Deployment:
    """A state folder whose deployment is at odysseus."""
    subprocess.run([ROOT / "bin" / "bootstrap", "dvc"], check=True)  # nothing to do where it is there
    for name in ("runs", "models", "data", "extensions", "state", "repositories", "secrets/s3"):
        (state / name).mkdir(parents=True)
    write_json(state / "state" / "deployment.json", {"tier": "odysseus", "engine": "local", "route": {"data": "dvc"}})
    write_json(state / "state" / "services.json", {"on_host": True})
    (state / "secrets" / "s3" / "credentials").write_text(servers.KEYS)
    (state / "extensions" / "mine.py").write_text(OWN)
    found = Deployment(state, server, server.bucket())
    found.point(server.endpoint)
    return found


OWN = """from pantheon.workflow.extensions import feature

@feature("rust_a_year")
def rust_a_year(columns):
    return columns["rust-level"] / (columns["robot-age"] + 1)
"""


def content(folder: Path, *names: str) -> dict[str, bytes]:
    """Every file below the named folders, or of these names: relative path → content."""
    found: dict[str, bytes] = {}
    for name in names:
        paths = [folder / name] if (folder / name).is_file() else sorted((folder / name).rglob("*"))
        found |= {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}
    return found


def figures(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def everything(light: Deployment) -> dict[str, bytes]:
    """What people see in the repository's folder."""
    names = [path.name for path in light.main.iterdir() if path.name not in (".git", ".dvc")]
    return content(light.main, *names)


def follow(light: Deployment, note: str) -> None:
    """Do in the work tree what a recording's note says."""
    command = note.rpartition("To get the run: ")[2]
    subprocess.run(["bash", "-ec", command], cwd=light.main, env=light.environment, check=True, capture_output=True)

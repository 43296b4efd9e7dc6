"""The DAGs without a server: in Airflow's own environment, with an SQLite file as its database."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.engines.local import environments
from tests.support import ROOT

INSIDE = Path(__file__).parent / "dags_inside"


@dataclass
class Trial:
    """What became of one run.

    Attributes:
        state: ``success``, ``failed``, or ``refused`` with ``why``.
        tasks: name → state and number of tries.
        events: asset and extra of each.
        said: everything that was logged.
    """

    state: str
    why: str
    tasks: dict[str, tuple[str, int]]
    events: list[tuple[str, dict[str, str]]]
    said: str


class Airflow:
    """Airflow's environment on a database and a deployment's state folder of its own."""

    def __init__(self, home: Path, state: Path, **given: str) -> None:
        self.home, self.state, self.given = home, state, given
        for name in ("state", "runs", "models", "data", "secrets"):
            (state / name).mkdir(parents=True, exist_ok=True)

    def settle(self, **deployment: Any) -> None:
        """Write the deployment's settings."""
        (self.state / "state" / "deployment.json").write_text(json.dumps(deployment))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{environments.folder_of('airflow')}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'dags'}",
            "PYTHONWARNINGS": "ignore",
            "STATE_DIR": str(self.state),
            "SECRETS_DIR": str(self.state / "secrets"),
            "WORKFLOW_ENVIRONMENT": str(environments.folder_of("workflow")),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__API_AUTH__JWT_SECRET": "nobody listens here" * 4,
            **self.given,
        }

    def python(self, *words: str, timeout: float = 120) -> str:
        """What Airflow's Python prints; standard error is shown when it fails."""
        done = subprocess.run(
            [str(environments.folder_of("airflow") / "bin" / "python"), *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def describe(self) -> dict[str, Any]:
        """Every DAG as Airflow reads it."""
        found: dict[str, Any] = json.loads(
            self.python(str(INSIDE / "describe.py"), str(ROOT / "dags")).splitlines()[-1]
        )
        return found

    def trials(self, *runs: tuple[str, dict[str, Any]]) -> list[Trial]:
        """Runs of DAGs by ``dag.test()``, one after another."""
        said = self.python("-u", str(INSIDE / "trials.py"), json.dumps(runs), timeout=170)
        found = []
        for words, result in re.findall(r"(.*?)^RESULT ([^\n]*)\n", said, flags=re.M | re.S):
            found.append(Trial(said=words, **json.loads(result)))
        assert len(found) == len(runs), said[-3000:]
        return found

"""The feature store's service as a process with its API over HTTP, on a Valkey and a PostgreSQL of the test."""

import os
import subprocess
from pathlib import Path
from typing import Any

from pantheon.engines.local import environments
from pantheon.errors import PantheonError
from pantheon.features.client import Features
from tests.support import ROOT
from tests.support.feature_servers import PASSWORD, Postgres, Valkey
from tests.support.ports import free_ports
from tests.support.waiting import until


class FeatureService:
    """``python -m pantheon.features``, which can be killed and started again."""

    def __init__(self, state: Path, valkey: Valkey, postgres: Postgres) -> None:
        self.state, self.log = state, state / "log"
        ports = free_ports(3)
        secrets = state / "secrets"
        (secrets / "features").mkdir(parents=True, exist_ok=True)
        for name, text in {"features/key": "key", "features/valkey": PASSWORD, "feast_password": "login"}.items():
            (secrets / name).write_text(text)
        passwords = secrets / "pgpass"
        passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
        passwords.chmod(0o600)
        self.environment = {
            **os.environ,
            **{"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "STATE_DIR": str(state), "FEAST_BIND": "127.0.0.1"},
            **dict(zip(("FEAST_PORT", "FEAST_UI_PORT", "FEATURES_PORT"), map(str, ports), strict=True)),
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(postgres.port),
            "PGPASSFILE": str(passwords),
            "PGUSER": "pantheon",
            "VALKEY_HOST": "127.0.0.1",
            "VALKEY_PORT": str(valkey.port),
            "VALKEY_PASSWORD_FILE": str(secrets / "features" / "valkey"),
        }
        self.client = Features(f"http://127.0.0.1:{ports[2]}", secrets / "features" / "key", retry_seconds=0.5)
        postgres.make_feast()
        self.start()

    def start(self) -> None:
        environments.make(["feast"])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [environments.folder_of("feast") / "bin" / "python", "-P", "-m", "pantheon.features"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until(self._answers, 180, "the feature store's service")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def _answers(self) -> Any:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return self.client.catalogue() is not None
        except PantheonError:
            return False

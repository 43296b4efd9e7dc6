"""After an update, `up` restarts exactly the services that run what has changed."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pantheon.engines.local.engine import LocalEngine
from tests.support import ROOT
from tests.support.engines import Deployment


def test_a_changed_file_restarts_exactly_the_services_that_use_it(deployment: Deployment, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "pantheon", root / "pantheon", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements", "dags", "compose"):
        (root / name).mkdir()
    (root / "compose" / "run.sh").write_text("exec sleep 1000")
    sleep: dict[str, Any] = {"command": ["sleep", "1000"]}
    program = {"image": "postgres:18", "x-local": {"environment_name": "postgres"}}
    model = {
        "name": deployment.name,
        "x-pantheon": {
            "component": "flow",
            "images": {"flow": {"environments": ["cli", "workflow"], "folders": ["dags"]}},
        },
        "services": {
            "flow": {"image": "pantheon/flow", **sleep},
            "page": {"image": "pantheon/serving", **sleep},
            "script": {**program, "command": ["sh", str(root / "compose" / "run.sh")]},
            "program": {**program, **sleep},
        },
    }
    deployment.file.write_text(yaml.safe_dump(model))

    def restarted() -> set[str]:
        """The services that `up` restarts or starts."""
        before = {name: status.pid for name, status in deployment.status().items()}
        LocalEngine(replace(deployment.options(), root=root), lambda _: Path(sys.prefix)).up()
        return {name for name, status in deployment.status().items() if before.get(name) != status.pid}

    def after_a_change_of(file: str) -> set[str]:
        with (root / file).open("a") as opened:
            opened.write("\n# changed\n")
        return restarted()

    assert restarted() == {"flow", "page", "script", "program"}
    assert restarted() == set()
    assert after_a_change_of("pantheon/cli/up.py") == {"flow", "page"}
    assert after_a_change_of("requirements/workflow.txt") == {"flow"}
    assert after_a_change_of("requirements/serving.txt") == {"page"}
    assert after_a_change_of("requirements/postgres.txt") == {"script", "program"}
    assert after_a_change_of("dags/new.py") == {"flow"}
    assert after_a_change_of("compose/run.sh") == {"script"}
    assert after_a_change_of("README.md") == set()

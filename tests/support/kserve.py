"""KServe's environment, and scripts in it."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pantheon.engines.local import environments


@cache
def python() -> str:
    """The Python of KServe's environment."""
    environments.make(["kserve"])
    return str(environments.folder_of("kserve") / "bin" / "python")


def run(script: Path, **environment: str) -> Any:
    """The JSON that a script prints in KServe's environment, with no module of ours."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([python(), str(script)], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])

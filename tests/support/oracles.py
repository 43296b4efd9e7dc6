"""Answers of other packages, in environments of their own, that tests compare ours with."""

import json
import subprocess
from typing import Any

from pantheon.engines.local import environments
from tests.support import ROOT


def answer(environment: str, program: str, asked: Any) -> Any:
    """Return what a program in ``tests/support/oracles_inside`` prints for ``asked``; both JSON."""
    environments.make([environment])
    python = environments.folder_of(environment) / "bin" / "python"
    path = ROOT / "tests" / "support" / "oracles_inside" / program
    ran = subprocess.run([python, "-P", path], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])

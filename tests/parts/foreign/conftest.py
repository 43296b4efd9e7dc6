"""Models of other libraries, trained and converted once in the environments of their converters."""

import os
import subprocess
from pathlib import Path

import pytest

from pantheon.engines.local import environments
from tests.support import ROOT


def made(environment: str, script: str, folder: Path) -> Path:
    """Run a script of this folder in an environment; return ``folder``, which has what it made."""
    environments.make([environment])
    python = environments.folder_of(environment) / "bin" / "python"
    command = [python, "-P", Path(__file__).with_name(script), folder]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder.parent)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("boosting", "boosting_models.py", tmp_path_factory.mktemp("boosting") / "models")


@pytest.fixture(scope="session")
def tensorflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("tensorflow", "tensorflow_models.py", tmp_path_factory.mktemp("tensorflow") / "models")

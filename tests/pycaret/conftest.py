"""PyCaret's notebooks in a real JupyterLab, and its stages in its own environment."""

import pytest

from pantheon.cli import envs
from tests.jupyter.conftest import lab

__all__ = ["environment", "lab"]


@pytest.fixture(scope="session", autouse=True)
def environment() -> str:
    """The Python of PyCaret's environment."""
    envs.make(["pycaret", "workflow", "jupyter"])
    return str(envs.folder_of("pycaret") / "bin" / "python")

"""PyCaret's notebooks in the JupyterLab of the folder above, and its stages in its own environment."""

import pytest

from pantheon.engines.local import environments


@pytest.fixture(scope="session", autouse=True)
def environment() -> str:
    """The Python of PyCaret's environment."""
    environments.make(["pycaret", "workflow", "jupyter"])
    return str(environments.folder_of("pycaret") / "bin" / "python")

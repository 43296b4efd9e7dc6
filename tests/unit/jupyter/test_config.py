"""JupyterLab's configuration file."""

import runpy
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.support import ROOT

FILE = ROOT / "pantheon" / "jupyter" / "config" / "jupyter_server_config.py"


@pytest.mark.parametrize(
    ("given", "names"),
    [("", ["localhost", "jupyter"]), ("lab.example.com", ["localhost", "jupyter", "lab.example.com"])],
)
def test_only_named_hosts_are_answered(
    given: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JUPYTER_HOSTS has the names of a proxy; others are DNS rebinding."""
    (tmp_path / "token").write_text("secret\n")
    settings = {"STATE_DIR": tmp_path, "JUPYTER_TOKEN_FILE": tmp_path / "token", "JUPYTER_BIND": "127.0.0.1"}
    for name, value in (settings | {"JUPYTER_PORT": 8888, "JUPYTER_HOSTS": given}).items():
        monkeypatch.setenv(name, str(value))
    c = MagicMock()
    runpy.run_path(str(FILE), {"get_config": lambda: c})
    assert c.ServerApp.local_hostnames == names
    assert c.ServerApp.allow_remote_access is False

"""The unit that starts a deployment at boot is one that systemd accepts."""

import getpass
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pantheon.cli.main import app
from pantheon.deployment import boot
from pantheon.deployment.deployment import Deployment
from pantheon.tiers import ROOT


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PANTHEON_HOME", f'{tmp_path}/100% "mine"')
    Deployment("d1").update(tier="persephone", engine="local")
    return CliRunner().invoke(app, ["unit", "--name", "d1"]).stdout


def test_it_starts_and_stops_the_deployment_as_its_user(printed: str) -> None:
    lines = printed.splitlines()
    assert f"User={getpass.getuser()}" in lines
    assert f"WorkingDirectory={ROOT}" in lines
    assert f'ExecStart="{ROOT}/bin/pantheon" up --no-run --name d1' in lines
    assert f'ExecStop="{ROOT}/bin/pantheon" down --name d1' in lines
    (home,) = [line for line in lines if line.startswith('Environment="PANTHEON_HOME=')]
    assert home.endswith('/100%% \\"mine\\""')


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="without systemd, nothing checks it")
def test_systemd_finds_no_mistake_in_it(printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "UNIT", boot.UNIT.replace("oneshot", "none"))
    for text, accepted in ((printed, True), (boot.unit(Deployment("d1")), False)):
        (tmp_path / "pantheon.service").write_text(text)
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "pantheon.service")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ("pantheon.service" not in done.stderr) is accepted, done.stderr

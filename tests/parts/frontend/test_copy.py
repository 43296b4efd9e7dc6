"""A copy of the front end's folder is an application of its own: without Pantheon, in another server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.button import Client
from tests.support.endpoint import free_port
from tests.support.frontend import Both, Visitor
from tests.support.waiting import until


def test_a_copy_runs_in_another_server_without_pantheon(robots: Both, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "serving" / "frontend", tmp_path / "shop", ignore=shutil.ignore_patterns("__main__.py"))
    port = free_port()
    changes = {"FRONTEND_PORT": str(port), "FRONTEND_DIR": str(tmp_path / "own"), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--port", str(port)]
    env = os.environ | robots.frontend.environment | changes
    started = subprocess.Popen([*command, "shop.settings:made"], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        client = Client(port)

        def healthy() -> bool:
            assert started.poll() is None
            try:
                return client.get("/healthz").status == 200
            except OSError:
                return False

        until(healthy)
        visitor = Visitor(client)
        page = visitor.predict(robot_age="20", rust_level="9")
        assert '<p class="headline">Bad Condition</p>' in page.text
        assert visitor.feedback(page, "yes").status == 303
        until(lambda: not list((tmp_path / "own" / "outbox").glob("*.json")))
        assert client.get("/static/app.css").status == 200
        assert client.form("/predict", "x" * 2_000_000).status == 413
        assert client.get("/", Host="evil.example").status == 403
    finally:
        started.terminate()
        started.wait(60)

"""A terminal of JupyterLab: git and DVC work there on the deployment's repository."""

import asyncio
import json
import shutil
import subprocess

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from pantheon import files, versioning
from pantheon.files import write_json
from tests.support import ROOT
from tests.support.jupyter import Lab
from tests.support.s3_servers import KEYS


async def typed(lab: Lab, line: str, awaited: str) -> str:
    """What a new terminal shows, until it shows ``awaited``, once ``line`` is typed."""
    answer = lab.jupyter.ask("POST", "/api/terminals", {})
    assert answer.status == 200, answer
    name, shown = answer.json()["name"], ""
    url = f"{lab.url.replace('http', 'ws')}/terminals/websocket/{name}"
    try:
        socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {lab.token}"}))
        await socket.write_message(json.dumps(["stdin", f"{line}\r"]))
        while awaited not in shown:
            message = await asyncio.wait_for(socket.read_message(), 90)
            assert message is not None, shown
            kind, *text = json.loads(message)
            shown += text[0] if kind == "stdout" else ""
        socket.close()
    finally:
        lab.jupyter.ask("DELETE", f"/api/terminals/{name}")
    return shown


def test_a_terminal_has_git_and_the_deployments_dvc(lab: Lab) -> None:
    subprocess.run([ROOT / "bin" / "bootstrap", "dvc"], check=True)
    store = lab.state / "state" / "store.json"
    deployment = lab.state / "state" / "deployment.json"
    there = deployment.read_bytes() if deployment.exists() else None
    try:
        write_json(store, {"kind": "s3", "bucket": "pantheon", "endpoint": "", "host_endpoint": ""})
        write_json(deployment, {"tier": "odysseus", "engine": "local"})
        files.write_text(lab.state / "secrets" / "s3" / "credentials", KEYS)
        main = versioning.prepare(lab.state).folder
        line = f"cd {main} && git --no-pager log --format=by-%an && dvc stage list && dvc remote list && echo do''ne"
        shown = asyncio.run(typed(lab, line, "done"))
    finally:
        store.unlink(missing_ok=True)
        deployment.write_bytes(there) if there is not None else deployment.unlink(missing_ok=True)
        for name in ("main", "main.git"):
            shutil.rmtree(lab.state / "repositories" / name, ignore_errors=True)
    assert "by-Pantheon" in shown
    assert "hyperparameter_tuning" in shown and "s3://pantheon/dvc" in shown

"""The real JupyterLab: who may, what listens, where the token is, which kernels there are."""

import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.engines.local import environments
from tests.support.command_line import sockets, text_of
from tests.support.jupyter import Lab
from tests.support.waiting import until


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def ask(lab: Lab, path: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(lab.url + path, method=method, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/contents"),
        ("GET", "/api/kernels"),
        ("POST", "/api/kernels"),
        ("POST", "/api/terminals"),
        ("GET", "/scheduler/jobs"),
        ("POST", "/scheduler/jobs"),
        ("GET", "/files/start_here.ipynb"),
        ("GET", "/lab"),
    ],
)
def test_refuses_without_the_token_and_with_another(lab: Lab, method: str, path: str) -> None:
    login = (302, 403)  # pages lead to the login
    assert ask(lab, path, method) in login
    assert ask(lab, path, method, Authorization="token 0123456789") in login
    if method == "GET":
        assert ask(lab, path, method, Authorization=f"token {lab.token}") == 200


def test_a_name_that_is_not_ours_is_refused(lab: Lab) -> None:
    """A page elsewhere may have its name point here: its requests carry its own name as host."""
    assert ask(lab, "/api/contents", Authorization=f"token {lab.token}", Host="evil.example") == 403
    assert ask(lab, "/api/contents", Authorization=f"token {lab.token}", Host="localhost") == 200


def test_a_kernel_in_the_workflows_environment_and_one_in_pycarets(lab: Lab) -> None:
    """PyCaret's where its environment is made, even while JupyterLab runs."""
    specs = lab.jupyter.get("/api/kernelspecs")
    assert specs["default"] == "pantheon"
    names = {name: spec["spec"]["display_name"] for name, spec in specs["kernelspecs"].items()}
    there = (
        {"pantheon-pycaret": "Pantheon PyCaret"}
        if (environments.folder_of("pycaret") / "bin" / "python").exists()
        else {}
    )
    assert names == {"pantheon": "Pantheon workflow"} | there
    assert "/envs/workflow/bin/python" in specs["kernelspecs"]["pantheon"]["spec"]["argv"][0]
    listed = lab.jupyter.get("/scheduler/runtime_environments")
    assert [each["label"] for each in listed] == ["Pantheon workflow"]


def test_everything_listens_on_loopback_alone_and_kernels_encrypt(lab: Lab) -> None:
    answer = lab.jupyter.ask("POST", "/api/kernels", {"name": "pantheon"})
    assert answer.status == 201
    kernel = answer.json()["id"]
    runtime = lab.state / "volumes" / "jupyter" / "runtime"
    try:
        file = runtime / f"kernel-{kernel}.json"
        ports = until(lambda: file.exists() and json.loads(file.read_text()))
        until(lambda: reachable(ports["shell_port"]))
        listening = [
            connection.laddr
            for connection in sockets(lab.running())
            if connection.status == psutil.CONN_LISTEN or not connection.raddr
        ]
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert {8888 + lab.offset, ports["shell_port"], ports["iopub_port"]} <= {a.port for a in listening}
        assert ports["curve_publickey"]
        assert file.stat().st_mode & 0o077 == 0
    finally:
        assert lab.jupyter.ask("DELETE", f"/api/kernels/{kernel}").status == 204
    until(lambda: not lab.kernels())


def reachable(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_the_token_is_in_no_argument_variable_or_log(lab: Lab) -> None:
    assert ask(lab, f"/lab?token={lab.token}") in (200, 302)  # as a link with the token does it
    assert ask(lab, f"/api/nothing?token={lab.token}") == 404  # said in the log
    until(lambda: "/api/nothing" in lab.log)
    for process in psutil.process_iter():
        try:
            said = " ".join([*process.cmdline(), *process.environ().values()])
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        assert lab.token not in said, process
    for log in (lab.state / "logs").iterdir():
        assert lab.token not in log.read_text(), log
    for path in (lab.state / "volumes").rglob("*"):
        if path.is_file() and lab.token in text_of(path):
            assert path.stat().st_mode & 0o077 == 0, path


def test_asks_no_other_host(lab: Lab) -> None:
    """News, updates and lists of extensions are off, in the server and in what it tells the browser."""
    page = urllib.request.Request(lab.url + "/lab", headers={"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(page, timeout=30) as answer:
        found = re.search(
            r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', answer.read().decode(), re.S
        )
    assert found
    told = json.loads(found[1])
    assert told["news"] == {"disabled": True}
    settings = lab.jupyter.get("/lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"]["properties"]
    assert settings["fetchNews"]["default"] == "false"
    assert settings["checkForUpdates"]["default"] is False
    manager = lab.jupyter.get("/lab/api/extensions?refresh=0&query=table&page=1&per_page=5")
    assert manager == [] or all(entry["installed"] for entry in manager)


def test_links_lead_to_runs_models_and_data(lab: Lab) -> None:
    names = {entry["name"]: entry["type"] for entry in lab.jupyter.get("/api/contents")["content"]}
    assert {name for name, kind in names.items() if kind == "directory"} >= {"runs", "models", "data"}
    assert names["start_here.ipynb"] == "notebook"
    assert isinstance(lab.jupyter.get("/api/contents/runs")["content"], list)


def test_terminals_work(lab: Lab) -> None:
    answer = lab.jupyter.ask("POST", "/api/terminals", {})
    assert answer.status == 200
    assert lab.jupyter.ask("DELETE", f"/api/terminals/{answer.json()['name']}").status == 204


def test_is_as_small_as_the_table_of_parts_says(lab: Lab) -> None:
    memory = next(status.memory for status in lab.engine().status() if status.name == "jupyter")
    assert memory < 150e6  # measured: 87 MB idle, 100 MB after jobs; more would be a leak or an import too many


def test_health_in_containers_asks_without_a_login(lab: Lab) -> None:
    import os
    import subprocess

    from pantheon.engines.local import environments
    from tests.support import ROOT

    python = str(environments.folder_of("jupyter") / "bin" / "python")
    for port, status in ((8888 + lab.offset, 0), (9, 1)):
        environment = {"JUPYTER_PORT": str(port), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [python, "-S", "-m", "pantheon.web.health", "JUPYTER_PORT", "/api"],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == status
    assert Path(python).exists()

"""Servers of users: they outlive JupyterHub and its proxy, end when nobody uses them, and have a limit of memory."""

import os
import signal
import sys
from pathlib import Path

from pantheon.dashboard.servers import Server
from pantheon.dashboard.servers import Servers as DashboardServers
from pantheon.jupyter.servers import Servers, size
from tests.support.hub import Hub
from tests.support.waiting import until


def test_servers_survive_kills_of_jupyterhub_and_of_the_proxy_and_are_found_again(hub: Hub) -> None:
    mine = hub.person("kim", team="edit")
    path = mine.start()
    mine.get(path + "lab")
    assert {"runs", "models", "data", "start_here.ipynb"} <= {
        each["name"] for each in mine.get(path + "api/contents").json()["content"]
    }, "the deployment's notebooks, runs, models and data"
    assert mine.get(path + "api/kernelspecs").json()["default"] == "pantheon"
    begun = mine.get(path + "api/status").json()["started"]
    for service in ("hub", "hub-proxy"):
        before = hub.pid(service)
        os.kill(before, signal.SIGKILL)
        until(lambda service=service, before=before: hub.pid(service) not in (0, before) and hub.healthy(service))
        until(lambda: mine.get(path + "api/status").status_code == 200)
        assert mine.get(path + "api/status").json()["started"] == begun, f"the same server, after a kill of {service}"
        assert mine.server()["ready"]
    assert mine.get("/hub/home").status_code == 200, "still logged in"


def test_the_dashboard_lists_servers_with_their_memory_to_the_profiles_of_their_user(hub: Hub) -> None:
    token, api = hub.state / "secrets" / "dashboard_token", f"http://127.0.0.1:{8889 + hub.offset}"
    servers = DashboardServers(api, hub.url, token, hub.state)
    mine = hub.person("lea", team="edit")
    path = mine.start("second")

    def listed(profile: str) -> Server | None:
        return next((each for each in servers.of(profile) if each.user == "lea"), None)

    until(lambda: (found := listed("team")) and found.memory > 30e6, what="its memory is known")
    found = listed("team")
    assert found and (found.name, found.state, found.address) == ("second", "running", hub.url + path)
    assert found.started and found.active
    assert listed("other") is None
    mine.api("DELETE", "/users/lea/servers/second")
    until(lambda: listed("team") is None)


def test_servers_end_with_what_keeps_them_and_can_be_started_again(hub: Hub) -> None:
    mine = hub.person("kurt", team="edit")
    mine.start()
    before = hub.pid("hub-servers")
    os.kill(before, signal.SIGKILL)
    until(lambda: hub.pid("hub-servers") not in (0, before) and hub.healthy("hub-servers"))
    until(lambda: not mine.server(), 90)
    path = mine.start()
    mine.get(path + "lab")
    assert mine.get(path + "api/status").status_code == 200


def test_a_server_that_nobody_uses_stops(hub: Hub) -> None:
    mine = hub.person("ida", team="edit")
    mine.start()
    hub.variables = {**hub.variables, "HUB_IDLE": "3s"}
    hub.up()  # restarts JupyterHub only
    try:
        until(lambda: not mine.server(), 90)
        assert "Culling" in hub.log("hub")
    finally:
        hub.variables = {name: value for name, value in hub.variables.items() if name != "HUB_IDLE"}
        hub.up()


def test_a_process_of_a_server_that_takes_too_much_memory_gets_an_error(tmp_path: Path) -> None:
    code = "import sys\ntry: bytearray(int(sys.argv[1]) << 20)\nexcept MemoryError: sys.exit(3)"
    given = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
    for megabytes, status in ((400, 3), (50, 0)):
        command = (sys.executable, "-S", "-c", code, str(megabytes))
        servers = Servers(tmp_path, "127.0.0.1", size("200m"), command)
        assert servers.start("ann", "", given) > 0
        servers.running["ann/"].process.wait(60)
        assert servers.state("ann/") == status
    assert (tmp_path / "ann").stat().st_mode & 0o777 == 0o700

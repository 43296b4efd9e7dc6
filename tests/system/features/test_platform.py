"""Feast, its database and its online store as services of a deployment: who gets in, what survives, what it takes."""

import os
import signal
from typing import Any

import psutil
import pytest

from pantheon.state import ServiceRecord, read_services
from tests.support import ROOT
from tests.support.browser import chromium
from tests.support.command_line import Pantheon
from tests.support.hephaestus import API, SERVER, WEB, ask, basic, password
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(600)
IDLE_BYTES = 600 * 1024 * 1024


def service(made: Pantheon, name: str) -> ServiceRecord:
    return next(each for each in read_services(made.state).services if each.name == name)


def processes(made: Pantheon, *names: str) -> list[psutil.Process]:
    mains = [psutil.Process(service(made, name).pid) for name in names]
    return [each for main in mains for each in (main, *main.children(recursive=True))]


def test_growing_added_the_feature_store_and_restarted_nothing(hephaestus: Pantheon) -> None:
    assert service(hephaestus, "button").restarts == 0
    assert "nothing to do" in hephaestus("up", "hephaestus", "--no-run").err


@pytest.mark.parametrize("port", [SERVER, WEB])
def test_feasts_own_apps_need_the_login_for_everything(hephaestus: Pantheon, port: int) -> None:
    paths = {SERVER: ("/health", "/docs", "/openapi.json"), WEB: ("/", "/projects-list.json", "/api/v1/entities")}[port]
    query = "?project=pantheon" if port == WEB else ""
    for path in paths:
        for headers in ({}, basic("feast", "wrong"), basic("admin", password(hephaestus))):
            assert ask(hephaestus, port, path, headers=headers)[0] == 401, path
        assert ask(hephaestus, port, path + query)[0] == 200, path
        bearer = {"Authorization": f"Bearer {password(hephaestus)}"}
        assert ask(hephaestus, port, path + query, headers=bearer)[0] == 200, path
    assert ask(hephaestus, SERVER, "/materialize-incremental", {}, headers={})[0] == 401


def test_the_api_needs_its_own_key(hephaestus: Pantheon) -> None:
    for headers in ({}, basic("feast", password(hephaestus)), {"Authorization": f"Bearer {password(hephaestus)}"}):
        assert ask(hephaestus, API, "/catalogue", headers=headers)[0] == 401
    assert ask(hephaestus, API, "/healthz", headers={}) == (200, {"status": "ok"})
    status, found = ask(hephaestus, API, "/nonsense")
    assert status == 404
    assert "nonsense" in found["error"]["message"]


def test_its_database_user_may_create_nothing_else(hephaestus: Pantheon) -> None:
    """Airflow's history is in the same server."""
    script = (
        "import os, psycopg, sys\n"
        "word = open(os.environ['FILE']).read().strip()\n"
        "given = dict(host='127.0.0.1', port=os.environ['PORT'], user='feast', password=word, dbname='feast')\n"
        "with psycopg.connect(**given) as c:\n"
        "    print(c.execute('select rolsuper, rolcreatedb from pg_roles where rolname = current_user').fetchone())\n"
    )
    given = {
        "FILE": str(hephaestus.state / "secrets" / "feast_database_password"),
        "PORT": str(5433 + hephaestus.offset),
    }
    python = str(ROOT / ".pantheon" / "envs" / "feast" / "bin" / "python")
    assert hephaestus.command([python, "-c", script], **given).out.strip() == "(False, False)"


def test_the_idle_feature_store_takes_less_than_600_mb(hephaestus: Pantheon) -> None:
    taken = sum(each.memory_full_info().pss for each in processes(hephaestus, "feast", "valkey", "postgres"))
    assert taken < IDLE_BYTES


@pytest.mark.browser
def test_feasts_web_interface_works_and_asks_no_other_host(hephaestus: Pantheon) -> None:
    base, others = f"http://127.0.0.1:{WEB + hephaestus.offset}", list[str]()
    with chromium() as browser:
        context = browser.new_context(http_credentials={"username": "feast", "password": password(hephaestus)})
        page = context.new_page()

        def decide(route: Any) -> None:
            if route.request.url.startswith(base):
                route.continue_()
            else:
                others.append(route.request.url)
                route.abort()

        page.route("**/*", decide)
        page.goto(f"{base}/p/pantheon", timeout=120_000)
        page.get_by_text("The features of this deployment.").first.wait_for(timeout=120_000)
        page.get_by_text("Feature Views").first.click()
        page.wait_for_url("**/feature-view*", timeout=120_000)
        assert page.page_errors() == []
    assert others == []


def test_the_service_waits_for_its_database(hephaestus: Pantheon) -> None:
    """Stopped, as a server that is still starting: it answers nobody."""
    feast, family = service(hephaestus, "feast").pid, processes(hephaestus, "postgres")
    for each in family:
        each.suspend()
    try:
        os.kill(feast, signal.SIGKILL)
        until(lambda: service(hephaestus, "feast").pid not in (0, feast), 60)
    finally:
        for each in family:
            each.resume()
    until(lambda: service(hephaestus, "feast").state == "healthy", 120)

"""Faults under load over HTTP: kill -9 of the endpoint and of what stores its log, an absent S3, a full spool."""

import math
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from pantheon.predictions.place import open_place
from pantheon.predictions.read import predictions
from pantheon.predictions.segments import segments
from pantheon.predictions.service import Service
from pantheon.routing import operations as route
from pantheon.routing import policy as policies
from pantheon.routing.choose import Chooser
from tests.parts.serving.test_s3_swap import deployment as deployment_in_s3
from tests.parts.serving.test_s3_swap import store_of
from tests.parts.serving.test_swap import ROW
from tests.support import s3_servers as servers
from tests.support.bundles import bundle
from tests.support.button import Answer, Client, Deployment
from tests.support.disks import fill, small_disk
from tests.support.endpoint import process, spool_of
from tests.support.endpoint_clients import Answered, Clients
from tests.support.prediction_writer import start_service
from tests.support.waiting import until

KILLS = 20
SHARE = 0.1  # of the challenger
CUSTOMERS = ("", "", "", "", "ada", "grace", "emmy", "sofja")


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Deployment:
    deployment.publish(bundle(tmp_path / "one"))
    return deployment


@pytest.fixture
def divided(served: Deployment, tmp_path: Path) -> Deployment:
    """The challenger gets a share of the requests; a customer always gets the same version."""
    served.publish(bundle(tmp_path / "two"), promote=False)
    served.store.promote("robots", "2", "challenger")
    route.weights(served.store, "robots", {"challenger": SHARE * 100})
    route.sticky(served.store, "robots", "x-customer")
    return served


def stored_files(state: Path) -> int:
    """How many files the log has; what is being written counts, too."""
    return sum(1 for path in (state / "predictions").rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_under_load_lose_and_double_nothing_and_move_no_customer(divided: Deployment, tmp_path: Path) -> None:
    """The service is killed at any time, or as soon as it has written a file; the endpoint before or after it."""
    state, log, answers, said = divided.folder, tmp_path / "log", list[Answered](), list[str]()
    seconds = 0.0
    for number in range(KILLS):
        before, service = stored_files(state), start_service(state, spool_of(state), log)
        with process(state) as (endpoint, client):
            clients = Clients(client, CUSTOMERS, feedback=True)
            until(lambda clients=clients: len(clients.answers) > 1_100 or clients.gone)  # type: ignore[misc]
            if number % 2:  # the segment of the kill before waits to be stored
                until(lambda before=before: stored_files(state) > before)  # type: ignore[misc]
            else:
                time.sleep(random.uniform(0.0, 0.3))
            for victim in random.sample((endpoint, service), 2):
                victim.kill()
            clients.join()
            service.wait()
        answers += clients.answers
        said += clients.said
        seconds += clients.seconds
        assert not clients.refused
    print(f"{len(answers):,} answers in {seconds:.1f} s: {len(answers) / seconds:,.0f} a second")
    check(divided, answers, said)
    told: list[str] = []
    assert Service(state, spool_of(state), None, told.append).look(), told
    assert segments(spool_of(state)) == []
    check(divided, answers, said)
    assert "Traceback" not in log.read_text()


def check(deployment: Deployment, answers: list[Answered], said: list[str]) -> None:
    """Every answer is in the log exactly once, with its feedback, and came from the version that the policy names."""
    found = predictions(open_place(deployment.folder), spool_of(deployment.folder))
    assert found["id"].is_unique().all()
    versions = dict(found.select("id", "version").iter_rows())
    assert {answer.id: answer.version for answer in answers}.items() <= versions.items()
    assert found.height - len(answers) <= KILLS * len(CUSTOMERS), "besides, at most the requests that were under way"
    assert set(said) <= set(found.filter(~found["correct"])["id"])
    stored = deployment.store.policy("robots")
    assert stored
    chooser = Chooser(policies.read(stored, "robots"), {"champion": "1", "challenger": "2"}, {"1", "2"})
    for answer in answers:
        assert answer.version == chooser.choose(answer.id, {"x-customer": answer.customer}, "").version
    by_chance = [answer for answer in answers if not answer.customer]
    assert len(by_chance) > 10_000
    count = Counter(answer.version for answer in by_chance)["2"]
    sigma = math.sqrt(SHARE * (1 - SHARE) * len(by_chance))
    print(f"{count:,} of {len(by_chance):,}: {(count - SHARE * len(by_chance)) / sigma:+.2f} sigma")
    assert abs(count - SHARE * len(by_chance)) < 6 * sigma  # three would fail one run of 370


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_s3_is_away_under_load_and_the_log_is_complete_later(tmp_path: Path) -> None:
    (tmp_path / "weed").mkdir()
    log = tmp_path / "log"
    with servers.weed(tmp_path / "weed") as server, ExitStack() as stack:
        state = deployment_in_s3(tmp_path / "state-folder", server)
        store = store_of(state, tmp_path)
        store.publish("robots", bundle(tmp_path / "one"), {})
        store.promote("robots", "1")
        given = {"AWS_SHARED_CREDENTIALS_FILE": str(state / "secrets" / "s3" / "credentials")}
        service = start_service(state, spool_of(state), log)
        stack.callback(service.wait)
        stack.callback(service.kill)
        endpoint, client = stack.enter_context(process(state, **given))
        clients = Clients(client, pause=0.002)
        stack.callback(clients.stop)
        until(lambda: any(open_place(state).list()), what="the first file in S3")
        server.kill()
        until(lambda: "does not answer" in log.read_text(), what="the complaint of the service")
        during = len(clients.answers)
        until(lambda: len(clients.answers) > during + 5_000, what="answers without S3")
        server.start()
        until(lambda: "Predictions are stored again." in log.read_text(), what="its recovery")
        clients.stop()
        endpoint.terminate()
        assert endpoint.wait(timeout=60) == 0
        until(lambda: not segments(spool_of(state)), what="an empty spool")
        found = predictions(open_place(state), None)
    print(f"{len(clients.answers):,} answers in {clients.seconds:.1f} s, the slowest turn {clients.slowest:.2f} s")
    assert not clients.refused
    assert found["id"].is_unique().all()
    assert {answer.id for answer in clients.answers} == set(found["id"])
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_a_full_spool_refuses_until_it_is_stored(served: Deployment, tmp_path: Path) -> None:
    """The service that stores the log is away until the spool has its largest size."""
    state, spool = served.folder, spool_of(served.folder)
    with process(state, SPOOL_MB="1") as (endpoint, client), ExitStack() as stack:
        clients = Clients(client)
        until(lambda: clients.refused[503] > 100)
        clients.stop()
        refused = client.predict(ROW)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.error["message"].startswith("The prediction cannot be logged, and none is answered without")
        healthy = client.get("/healthz").json
        assert 0.9 * healthy["log"]["most_bytes"] < healthy["log"]["bytes"] <= healthy["log"]["most_bytes"] == 1_000_000
        service = start_service(state, spool, tmp_path / "log")
        stack.callback(service.wait)
        stack.callback(service.kill)
        answer = until(lambda: answered(client), what="an answer after the segment was stored")
        endpoint.terminate()
        _, said = endpoint.communicate(timeout=60)
    assert "answers are not logged: the spool" in said
    assert "is full: 1.0 MiB of 1.0 MiB wait to be stored. `bin/pantheon logs --service predictions` says why" in said
    assert set(clients.refused) == {503}
    assert answered_ids(state) == {*(each.id for each in clients.answers), answer.headers["x-request-id"]}


@pytest.mark.parametrize("mode", ["required", "best-effort"])
def test_a_full_disk_does_what_is_configured_and_says_so(served: Deployment, tmp_path: Path, mode: str) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        spool = disk / "spool"
        with process(served.folder, SPOOL_DIR=str(spool), ENDPOINT_LOG=mode) as (endpoint, client):
            clients = Clients(client)
            filler = fill(disk)
            until(lambda: clients.refused[503] or not all(each.logged for each in clients.answers[-8:]))
            clients.stop()
            answer = client.predict(ROW)
            if mode == "required":
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            else:
                assert (answer.status, answer.headers["x-log"]) == (200, "unlogged")
            assert client.get("/healthz").status == 200
            filler.unlink()
            answer = until(lambda: answered(client), what="a logged answer")
            endpoint.terminate()
            _, said = endpoint.communicate(timeout=60)
        logged, unlogged = ({each.id for each in clients.answers if each.logged is kind} for kind in (True, False))
        found = answered_ids(served.folder, spool)
    assert found == {*logged, answer.headers["x-request-id"]}
    assert bool(unlogged) == (mode == "best-effort")
    assert "its disk is full. Free some space; then it goes on by itself." in said
    assert set(clients.refused) == ({503} if mode == "required" else set())


def answered(client: Client) -> Answer | None:
    """An answer that is logged; None if there is none now."""
    answer = client.predict(ROW)
    return answer if answer.status == 200 and "x-log" not in answer.headers else None


def answered_ids(state: Path, spool: Path | None = None) -> set[str]:
    """The ids of the log's records of answers, each of which is in it once."""
    found = predictions(open_place(state), spool or spool_of(state))
    assert found["id"].is_unique().all()
    return set(found.filter(found["status"] == 200)["id"])

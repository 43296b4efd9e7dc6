"""The button while the endpoint or the log's service is away, and while the endpoint takes over and leaves."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pantheon.state import set_served
from serving.button import Button
from serving.model.explain import explain
from tests.parts.serving.test_process import process, wait_until_ready
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment, logged_in, serving
from tests.support.endpoint import endpoint, free_port
from tests.support.operations import hand_over, keys, log_service, operated
from tests.support.waiting import until

ROW = {"robot-age": 5, "rust-level": 9, "battery": "low"}
FORM = urlencode({"in:robot-age": "5", "in:rust-level": "9", "in:battery": "low"})


@contextmanager
def alone(deployment: Deployment, bundle_: Path, **settings: Any) -> Iterator[tuple[Button, Client]]:
    """A button whose endpoint and log do not answer."""
    deployment.publish(bundle(bundle_))
    keys(deployment)
    addresses = {"endpoint": f"http://127.0.0.1:{free_port()}", "log": f"http://127.0.0.1:{free_port()}"}
    hand_over(deployment, **settings)
    with serving(deployment, **addresses) as (button, client):
        until(lambda: button.endpoint.active)
        yield button, client


def test_without_the_endpoint_nothing_is_answered_and_the_cause_is_said(deployment: Deployment, tmp_path: Path) -> None:
    with alone(deployment, tmp_path / "b") as (_, client):
        answer = client.predict(ROW)
        assert answer.status == 503 and answer.headers["retry-after"]
        assert "Connection refused" in answer.error["message"]
        assert "Nothing is answered without a record" in answer.error["message"]
        page = client.form("/press", FORM).text
        assert "Connection refused" in page and 'class="headline"' not in page
        assert 'value="5"' in page, "the form keeps its values"
        said = client.form("/judge", urlencode({"id": "x", "correct": "yes"})).text
        assert "The endpoint does not answer: Connection refused." in said
        for path in ("/log", "/feedback", "/monitoring"):
            shown = client.get(path)
            assert shown.status == 503 and "does not answer: Connection refused" in shown.text, path
        shown = client.get("/routing")
        assert shown.status == 200 and "Who answers" in shown.text and "does not answer" in shown.text
        assert client.get("/").status == 200
        questions = {each["id"]: each for each in client.get("/questions").json["questions"]}
        assert questions["request"]["state"] == questions["feedback"]["state"] == "unanswered"
        assert client.get("/healthz").json["ready"]


@pytest.mark.parametrize("log", ["best-effort", "off"])
def test_by_best_effort_the_button_answers_and_says_that_it_is_not_logged(
    deployment: Deployment, tmp_path: Path, log: str
) -> None:
    with alone(deployment, tmp_path / "b", log=log) as (_, client):
        answer = client.predict(ROW)
        assert (answer.status, answer.json, answer.headers["x-log"]) == (200, {"prediction": [0]}, "unlogged")
        page = client.form("/press", FORM).text
        assert "Bad Condition" in page and "this is not in the log" in page and "Was this right?" not in page


def test_a_missing_or_refused_key_is_named(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    with operated(deployment, with_log=False) as services:
        assert services.client.predict(ROW).status == 200
        key = deployment.password.parent / "endpoint_key"
        key.write_text("another")
        assert "refuses the button's key" in services.client.predict(ROW).error["message"]
        key.unlink()
        assert "key cannot be read" in services.client.predict(ROW).error["message"]
        assert services.client.get("/log").status == 503


def test_in_earlier_tiers_the_pages_do_not_exist(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    with serving(deployment) as (_, client):
        for path in ("/log", "/log/x", "/feedback", "/routing", "/monitoring", "/keys"):
            answer = client.get(path)
            assert answer.status == 404 and "epimetheus" in answer.text
        assert client.form("/routing/change", "model=robots").status == 404
        assert 'href="/log"' not in client.get("/").text
        assert "x-request-id" not in client.predict(ROW).headers


def test_taking_over_and_leaving_lose_no_request(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    keys(deployment)
    port = free_port()
    seen: Counter[tuple[int, bool]] = Counter()
    stop = threading.Event()
    with serving(deployment, endpoint=f"http://127.0.0.1:{port}") as (button, client):

        def load() -> None:
            while not stop.is_set():
                answer = client.predict(ROW)
                seen[answer.status, "x-request-id" in answer.headers] += 1

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: seen[200, False])
            with endpoint(deployment, port=port):
                hand_over(deployment)
                until(lambda: seen[200, True] > 20)
                hand_over(deployment, answers="")  # as `up` does before it stops the services of the tier
            before = seen[200, False]
            until(lambda: seen[200, False] > before + 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not button.endpoint.active
        assert {status for status, _ in seen} == {200}, seen


@pytest.mark.slow
def test_the_button_stays_small(deployment: Deployment, tmp_path: Path) -> None:
    """As a process, after its pages and predictions."""
    deployment.publish(bundle(tmp_path / "b"))
    keys(deployment)
    hand_over(deployment)
    log = free_port()
    with endpoint(deployment, explain=explain) as (_, direct), log_service(deployment.folder, log):
        addresses = {"ENDPOINT_URL": f"http://127.0.0.1:{direct.port}", "PREDICTIONS_URL": f"http://127.0.0.1:{log}"}
        with process(deployment.folder, **addresses) as (started, plain):
            wait_until_ready(plain, started)
            client = logged_in(plain)
            for _ in range(20):
                answer = client.predict(*[ROW] * 1_000)
                assert answer.status == 200
                for path in ("/", "/log", "/feedback", "/routing", "/monitoring", "/keys"):
                    assert client.get(path).status == 200
            id = client.predict(ROW).headers["x-request-id"]
            assert "Shapley values" in client.get(f"/log/{id}?explain=0").text
            rollup = Path(f"/proc/{started.pid}/smaps_rollup").read_text()
            pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            print(f"PSS {pss / 1000:.0f} MB")
            assert pss < 130_000, f"{pss} kB"


def test_no_request_is_lost_when_another_model_is_served(deployment: Deployment, tmp_path: Path) -> None:
    """The button finds it before the endpoint does."""
    deployment.publish(bundle(tmp_path / "one"))
    with operated(deployment, with_log=False) as services:
        assert services.client.predict(ROW).headers["x-model-name"] == "robots"
        deployment.store.publish("other", bundle(tmp_path / "other"), {})
        deployment.store.promote("other", "1")
        set_served(deployment.folder, "other")
        seen: set[int] = set()

        def another() -> bool:
            answer = services.client.predict(ROW)
            seen.add(answer.status)
            return answer.headers["x-model-name"] == "other"

        until(another)
        assert seen == {200}

"""Nothing that was answered is missing from the log: also when the endpoint is killed, or its spool is full."""

import json
from pathlib import Path

import pytest

from pantheon.predictions import frames
from pantheon.predictions.frames import Entry
from pantheon.predictions.records import Feedback
from pantheon.predictions.spool import segments
from tests.parts.serving.test_swap import ROW
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.endpoint import endpoint, process, spool_of
from tests.support.endpoint_clients import Clients
from tests.support.waiting import until

BODY = b'{"payload": [ {"robot-age":20} ]}'
KILLS = 3
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Deployment:
    deployment.publish(bundle(tmp_path / "robots"))
    return deployment


def logged(deployment: Deployment) -> list[Entry | Feedback]:
    """Everything in the spool."""
    files = segments(spool_of(deployment.folder))
    return [entry for file in files for entry in frames.read(file.read_bytes())]


def answers(deployment: Deployment) -> list[Entry]:
    return [entry for entry in logged(deployment) if isinstance(entry, Entry)]


def test_a_record_says_everything_about_an_answer(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        answer = client("POST", "/predict", BODY, content_type="application/json", traceparent=TRACE)
    (entry,) = answers(served)
    record = entry.record
    assert answer.headers["x-request-id"] == record.id
    assert "x-log" not in answer.headers
    assert entry.rows == b'[ {"robot-age":20} ]', "exactly as they were sent"
    assert json.loads(entry.answer)["prediction"] == answer.json["prediction"] == [0]
    assert len(json.loads(entry.answer)["probabilities"][0]) == 2
    assert (record.model, record.version, record.arm, record.reason) == ("robots", "1", "champion", "champion")
    assert (record.key, record.status, record.error, record.trace) == (f"app{client.port}", 200, "", TRACE)
    assert 0 < record.ms < 5_000


def test_every_protocol_is_logged_as_rows(served: Deployment) -> None:
    tensor = {"name": "robot-age", "datatype": "INT64", "shape": [2], "data": [20, 1]}
    with endpoint(served) as (_, client):
        client.post("/v1/models/robots:predict", {"instances": [ROW]})
        answer = client.post("/v2/models/robots/infer", {"inputs": [tensor]})
        client.post("/v1/models/robots/versions/1:predict", {"instances": [ROW]})
    first, second, third = answers(served)
    assert json.loads(first.rows) == [ROW]
    assert json.loads(second.rows) == [{"robot-age": 20}, {"robot-age": 1}]
    assert answer.json["id"] == answer.headers["x-request-id"] == second.record.id
    assert (third.record.arm, third.record.reason) == ("1", "requested")


def test_what_is_sent_along_is_logged_and_changes_nothing(served: Deployment) -> None:
    along = ROW | {"context": {"region": "north", "customer": 4711}}
    with endpoint(served) as (_, client):
        plain, other = (client.post("/v1/models/robots:predict", {"instances": [row]}) for row in (ROW, along))
        strict = client.post("/v1/models/robots:predict", {"instances": [ROW | {"region": "north"}]})
    assert plain.json == other.json
    assert strict.status == 422
    assert [json.loads(entry.rows) for entry in answers(served)][1] == [along]


def test_refused_requests_are_logged_with_their_error(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        refused = client.predict({"robot-age": 99})
        broken = client("POST", "/predict", b"{", content_type="application/json")
        assert (refused.status, broken.status) == (422, 400)
    one, other = answers(served)
    assert (one.record.status, one.record.id) == (422, refused.headers["x-request-id"])
    assert "robot-age" in one.record.error
    assert (json.loads(one.rows), one.answer) == ([{"robot-age": 99}], b"")
    assert (other.record.status, other.rows) == (400, b"[]")


def test_an_error_that_quotes_half_a_character_is_logged(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        for field in ("robot-age", "\\ud800"):
            body = f'{{"payload": [{{"{field}": "\\ud800"}}]}}'.encode()
            assert client("POST", "/predict", body, content_type="application/json").status == 422
    assert [entry.record.status for entry in answers(served)] == [422, 422]


def test_feedback_is_logged_with_the_keys_name(served: Deployment) -> None:
    with endpoint(served) as (_, client):
        about = client.predict(ROW).headers["x-request-id"]
        assert client.post("/feedback", {"id": about, "correct": False, "comment": "no"}).json == {"accepted": 1}
        assert client.post("/feedback", {"id": "1", "correct": False}).status == 422
        assert Client(client.port).post("/feedback", {"id": about, "correct": True}).status == 401
    (said,) = (entry for entry in logged(served) if isinstance(entry, Feedback))
    assert (said.id, said.row, said.correct, said.comment) == (about, 0, False, "no")
    assert (said.by, said.source) == (f"app{client.port}", "endpoint")


def test_a_full_spool_refuses_and_goes_on_once_it_is_emptied(served: Deployment) -> None:
    with endpoint(served, most_bytes=5_000, segment_seconds=0.1) as (_, client):
        statuses = [client.predict(ROW).status for _ in range(40)]
        assert set(statuses) == {200, 503}
        refused = client.predict(ROW)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "cannot be logged" in refused.error["message"]
        assert client.get("/healthz").status == 200
        assert len(answers(served)) == statuses.count(200)
        until(lambda: not list(spool_of(served.folder).glob("*.open")))
        for segment in segments(spool_of(served.folder)):
            segment.unlink()  # as the shipper does
        until(lambda: client.predict(ROW).status == 200)


def test_a_full_spool_answers_unlogged_if_so_configured(served: Deployment) -> None:
    with endpoint(served, "best-effort", most_bytes=2_000) as (service, client):
        marks = [client.predict(ROW).headers.get("x-log") for _ in range(20)]
        assert marks[0] is None
        assert marks[-1] == "unlogged"
        assert len(answers(served)) == marks.count(None)
        assert service.metrics.events["unlogged"] == marks.count("unlogged")


def test_every_answered_id_is_in_the_log_exactly_once_after_kills(served: Deployment) -> None:
    """Clients count an answer only once they have all of it. ``test_inference_faults`` has more kills."""
    ids: list[str] = []
    for _ in range(KILLS):
        with process(served.folder) as (started, client):
            clients = Clients(client)
            until(lambda clients=clients: len(clients.answers) > 300)  # type: ignore[misc]
            started.kill()
            clients.join()
            ids += [answer.id for answer in clients.answers]
    found = [entry.record.id for entry in answers(served)]
    assert len(found) == len(set(found))
    assert len(ids) == len(set(ids)) > 300 * KILLS
    assert set(ids) <= set(found)
    assert len(found) - len(ids) <= KILLS * 8, "besides, at most the requests that were under way"

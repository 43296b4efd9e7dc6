"""The button, the endpoint and the log's service together: predictions in the log, and the operators' pages."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from pantheon import keys
from pantheon.monitoring.report import keep, key_of
from pantheon.predictions.ids import new_id
from pantheon.predictions.place import open_place
from pantheon.routing import operations
from pantheon.routing import policy as policies
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment
from tests.support.operations import Operated, operated
from tests.support.reports import report
from tests.support.waiting import until

ROW = {"robot-age": 5, "rust-level": 9, "battery": "low"}
OTHER = "01a225fd-653c-7000-9a26-efbada6feb26"  # of no request
PAGES = ("/log", "/feedback", "/routing", "/monitoring", "/keys")


@pytest.fixture(scope="module")
def all_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Versions 1 (champion) and 2 (challenger) of robots."""
    folder = tmp_path_factory.mktemp("operated")
    deployment = Deployment(folder / "state-folder")
    deployment.publish(bundle(folder / "one"))
    second = deployment.publish(bundle(folder / "two"), promote=False)
    deployment.store.promote("robots", second, "challenger", by="test")
    with operated(deployment) as found:
        until(lambda: "2" in found.endpoint.models.of("robots").loaded)
        yield found


@pytest.fixture
def services(all_three: Operated) -> Iterator[Operated]:
    """All three; a test's routing policy is removed at its end."""
    yield all_three
    operations.clear(all_three.deployment.store, "robots")
    all_three.endpoint.models.refresh()  # the next test's requests are not routed by it


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def asked(client: Client, query: str = "") -> dict[str, Any]:
    return {each["id"]: each for each in client.get(f"/questions{query}").json["questions"]}


def test_the_articles_request_keeps_its_form_and_is_in_the_log(services: Operated) -> None:
    answer = services.client.predict(ROW)
    assert (answer.status, answer.json) == (200, {"prediction": [0]})
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["content-security-policy"]
    page = text_of(services.client.get(f"/log/{answer.headers['x-request-id']}").text)
    for part in (answer.headers["x-request-id"], "version 1 of robots", "robot-age 5", "battery low", "API key button"):
        assert part in page, part
    assert services.client.predict(ROW, query="?probabilities=1").json.keys() == {"prediction", "probabilities"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"payload": [{"robot-age": "old"}]}', 422, "robot-age"),
        (b'{"payload": []}', 422, "payload"),
        (b'{"instances": [{}]}', 422, "instances"),
        (b"{", 400, None),
        (b'{"payload": [{"robot-age": 5}], "payload": []}', 400, None),
        (b"", 400, None),
    ],
)
def test_errors_are_as_without_an_endpoint(services: Operated, body: bytes, status: int, field: str | None) -> None:
    answer = services.client("POST", "/predict", body, Content_Type="application/json")
    assert (answer.status, answer.error["field"]) == (status, field)


def test_headers_for_routing_and_traces_are_passed_on_but_no_credentials(services: Operated) -> None:
    operations.header(services.deployment.store, "robots", "x-beta", "yes", "challenger")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def by_the_second() -> Any:
        headers = {"x_beta": "yes", "traceparent": trace, "Authorization": "Bearer x", "Cookie": "a=b"}
        answer = services.client.post("/predict", {"payload": [ROW]}, **headers)
        assert answer.status == 200, answer
        return answer if answer.headers["x-model-version"] == "2" else None

    answer = until(by_the_second)
    page = text_of(services.client.get(f"/log/{answer.headers['x-request-id']}").text)
    assert trace in page and "because of a header rule" in page


def test_the_pages_prediction_can_be_judged(services: Operated) -> None:
    form = urlencode({"in:robot-age": "5", "in:rust-level": "9", "in:battery": "low"})
    page = Client(services.client.port).form("/press", form).text  # without a login
    assert "Bad Condition" in page
    [id] = re.findall(r'name="id" value="([0-9a-f-]{36})"', page)
    origin = services.client.headers["Origin"]
    judged = urlencode({"id": id, "correct": "no", "value": "1", "comment": "It <worked> for years."})
    said = Client(services.client.port).form("/judge", judged, Origin=origin).text
    assert "Thank you." in said
    shown = services.client.get("/feedback").text
    assert "wrong, truly 1<" in shown and "“It &lt;worked&gt; for years.”" in shown
    [row] = services.log.prediction(id)["rows"]
    assert (row["correct"], row["true_value"], row["said_by"]) == (False, 1, "button")


@pytest.mark.parametrize("values", [{}, {"id": "x", "correct": "yes"}, {"id": OTHER}, {"id": "\ud83e", "value": "x"}])
def test_a_judgement_that_means_nothing_is_refused_in_words(services: Operated, values: dict[str, str]) -> None:
    answer = services.client.form("/judge", urlencode(values, errors="replace"), HX_Request="true")
    assert answer.status == 200 and 'class="notice bad"' in answer.text, answer


def test_another_site_cannot_judge(services: Operated) -> None:
    answer = services.client.form("/judge", urlencode({"id": new_id(), "correct": "yes"}), Origin="http://evil.example")
    assert answer.status == 403


@pytest.mark.parametrize("path", [*PAGES, f"/log/{OTHER}"])
def test_the_pages_need_a_login(services: Operated, path: str) -> None:
    assert Client(services.client.port).get(path).status == 401
    answer = Client(services.client.port).form("/routing/change", urlencode({"model": "robots", "action": "clear"}))
    assert answer.status == 401


def test_a_change_needs_the_origin_that_browsers_send(services: Operated) -> None:
    without = Client(services.client.port, {"Cookie": services.client.headers["Cookie"]})
    assert without.form("/routing/change", urlencode({"model": "robots", "action": "clear"})).status == 401


def test_the_log_is_filtered_and_paged(services: Operated) -> None:
    for _ in range(3):
        services.client.predict(ROW)
    page = services.client.get("/log?model=robots&version=1&key=button&since=1h&most=2").text
    assert page.count('aria-label="Request ') == 2
    [older] = re.findall(r'<a href="(/log\?[^"]+)">Older answers', page)
    assert services.client.get(older.replace("&amp;", "&")).text.count('aria-label="Request ') == 2
    assert "No answers match these filters" in text_of(services.client.get("/log?key=nobody").text)
    id = services.client.predict(ROW).headers["x-request-id"]
    found = services.client.get(f"/log?id={id}")
    assert (found.status, found.headers["location"]) == (303, f"/log/{id}")


@pytest.mark.parametrize(
    "path",
    [
        "/log?since=tomorrow",
        "/log?most=%F0%9F%A4%96",
        "/log?version=..%2F",
        "/log/4711",
        f"/log/{OTHER}",
        "/log/%ff",
        "/feedback?since=x",
        "/feedback?most=0",
        "/routing?model=..",
        "/routing?model=nobody",
        "/monitoring?model=%00",
        "/monitoring?model=nobody",
        "/keys?name=A%20B&per_minute=x",
        "/log?nothing=1",
    ],
)
def test_bad_input_is_answered_in_words(services: Operated, path: str) -> None:
    answer = services.client.get(path)
    assert answer.status in (200, 400, 404), answer
    assert "Traceback" not in answer.text


def test_an_answer_is_explained_and_replayed(services: Operated) -> None:
    id = services.client.predict(ROW).headers["x-request-id"]
    page = text_of(services.client.get(f"/log/{id}?explain=0").text)
    assert "Shapley values" in page
    assert "Asked again, version 1 gives the same answer." in page
    rows = {"instances": [ROW | {"context": {"region": "north"}}]}
    other = services.direct.post("/v1/models/robots/versions/2:predict", rows).headers["x-request-id"]
    assert "Asked again, version 2 gives the same answer." in text_of(
        services.client.get(f"/log/{other}?explain=0").text
    )


def change(services: Operated, action: str, *given: tuple[str, str]) -> str:
    """Submit a form of the routing page as it is now."""
    page = services.client.get("/routing").text
    seen = re.findall(r'name="seen" value="([^"]*)"', page)[0]
    pairs = [("model", "robots"), ("seen", seen), ("action", action), *given]
    return services.client.form("/routing/change", urlencode(pairs)).text


def policy(services: Operated) -> Any:
    stored = services.deployment.store.policy("robots")
    return policies.read(stored, "robots") if stored else None


def test_routing_is_changed_on_the_page(services: Operated) -> None:
    assert "Changed." in change(services, "weights", ("target0", "challenger"), ("percent0", "10"))
    assert [target for _, target in policy(services).split].count("challenger") >= 1
    assert services.deployment.store.policy("robots").by == "page"  # type: ignore[union-attr]
    assert "Changed." in change(services, "sticky", ("by", "key"))
    assert policy(services).sticky == "key"
    assert "Changed." in change(services, "header", ("header", "X-Beta"), ("value", "yes"), ("to", "2"))
    assert "Changed." in change(services, "shadow", ("to", "challenger"), ("to", "2"))
    assert policy(services).shadows == ("challenger", "2")
    assert "Changed." in change(services, "pin", ("to", "1"))
    assert (policy(services).pin, policy(services).split) == ("1", ())
    assert "Changed." in change(services, "bandit", ("to", "champion"), ("to", "challenger"), ("floor", "5"))
    assert policy(services).bandit.arms == ("champion", "challenger") and policy(services).bandit.floor == 0.05
    assert "Changed." in change(services, "header", ("header", "x-beta"), ("value", "yes"), ("to", ""))
    assert "Changed." in change(services, "bandit")
    assert "Changed." in change(services, "clear")
    assert policy(services) is None


@pytest.mark.parametrize(
    ("action", "given", "why"),
    [
        ("weights", [("target0", "challenger"), ("percent0", "much")], "is not a percentage"),
        ("weights", [("target0", "9"), ("percent0", "10")], "9"),
        ("weights", [("target0", "2"), ("percent0", "60"), ("target1", "1"), ("percent1", "60")], "100"),
        ("sticky", [("by", "key")], "only weights can be sticky"),
        ("sticky", [("by", "header")], "the header has no name"),
        ("pin", [("to", "../x")], "is not a version or an alias"),
        ("header", [("header", "cookie"), ("value", "a"), ("to", "2")], "cookie"),
        ("bandit", [("to", "1")], "2 to 10 versions"),
        ("bandit", [("to", "1"), ("to", "2"), ("floor", "nan")], "is not a percentage"),
        ("drop", [], "there is no change"),
    ],
)
def test_an_impossible_change_is_refused_in_words(
    services: Operated, action: str, given: list[tuple[str, str]], why: str
) -> None:
    page = change(services, action, *given)
    [notice] = re.findall(r'<p class="notice bad" role="alert">(.*?)</p>', page)
    assert why.lower() in notice.lower(), notice
    assert policy(services) is None


def test_a_change_of_something_else_in_the_meantime_is_refused(services: Operated) -> None:
    operations.weights(services.deployment.store, "robots", {"challenger": 10}, by="anna")
    pairs = {"model": "robots", "seen": "", "action": "pin", "to": "1"}
    assert "changed in the meantime" in services.client.form("/routing/change", urlencode(pairs)).text
    assert policy(services).pin == ""


def test_the_routing_page_recommends(services: Operated) -> None:
    services.client.predict(ROW)
    page = text_of(services.client.get("/routing").text)
    assert "Not decided: nobody has judged an answer of version 1 or 2 yet." in page
    assert "Requests of the last 24 hours" in page


def test_monitoring_shows_the_newest_report_with_alerts_first(services: Operated) -> None:
    assert "There is no report about Robots yet." in text_of(services.client.get("/monitoring").text)
    keep(open_place(services.deployment.folder), report())
    page = services.client.get("/monitoring").text
    parts = ("look now", ">ticket<", 'id="volume"', ">rust-level", 'id="performance"', 'id="fairness"', 'id="notes"')
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "Evidently" not in page and services.client.get("/monitoring/evidently").status == 404
    key = key_of(report()).replace(".json", ".html")
    open_place(services.deployment.folder).put_new(key, b"<script>parent.location = '/logout'</script>")
    assert 'href="/monitoring/evidently?model=robots"' in services.client.get("/monitoring").text
    shown = services.client.get("/monitoring/evidently?model=robots")
    assert shown.text.startswith("<script>") and shown.headers["content-type"].startswith("text/html")
    assert shown.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert Client(services.client.port).get("/monitoring/evidently").status == 401


def test_keys_are_listed_and_commands_change_them(services: Operated) -> None:
    _, token = keys.add(services.deployment.folder, "listed", models=["robots"], per_minute=600)
    page = services.client.get("/keys?name=shop&models=robots&per_minute=60")
    assert "listed" in page.text and "600 a minute" in page.text and token not in page.text
    assert "bin/pantheon keys add shop --models robots --per-minute 60" in page.text
    assert "bin/pantheon keys revoke listed" in page.text
    injected = services.client.get("/keys?" + urlencode({"name": "shop", "models": "a; rm -rf /"})).text
    assert "--models &#39;a; rm -rf /&#39;" in injected


def test_the_questions_about_requests_are_answered_live(services: Operated) -> None:
    one, two = (services.client.predict(ROW).headers["x-request-id"] for _ in range(2))
    newest = asked(services.client)["request"]
    assert newest["state"] == "answered" and newest["facts"]["id"] == two
    older = asked(services.client, f"?request={one}")["request"]
    assert older["facts"]["id"] == one and "Version 1 of robots" in older["answer"]
    assert '{"robot-age": 5' in older["answer"]
    assert services.direct.post("/feedback", {"id": one, "correct": True}).status == 200
    said = asked(services.client, f"?request={one}")["feedback"]
    assert said["state"] == "answered" and said["facts"]["correct"] is True
    assert asked(services.client, f"?request={new_id()}")["request"]["state"] == "unanswered"
    assert asked(services.client, "?request=4711")["feedback"]["state"] == "unanswered"


def test_the_navigation_names_the_pages(services: Operated) -> None:
    for path in ("/", *PAGES):
        page = services.client.get(path).text
        assert all(f'href="{each}"' in page for each in PAGES), path
    assert 'href="/log"' not in Client(services.client.port).get("/").text

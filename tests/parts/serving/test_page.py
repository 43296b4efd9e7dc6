"""The page without JavaScript: one form, one button, all content in HTML."""

import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pantheon.files import write_json
from pantheon.state import StageRecord
from pantheon.workflow.run import Params, Run
from tests.support.bundles import ROBOTS, bundle
from tests.support.button import Client, Deployment, serving


def press(client: Client, fields: dict[str, str], **headers: str) -> str:
    answer = client.form("/press", urlencode({f"in:{name}": value for name, value in fields.items()}), **headers)
    assert answer.status == 200
    return answer.text


def alert_of(page: str) -> str:
    found = re.search(r'role="alert">(.*?)</div>', page, re.DOTALL)
    assert found, "no alert"
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[1]))).strip()


def test_the_form_is_built_from_the_signature(every_type: Client) -> None:
    page = every_type.get("/").text
    for control in (
        r'<input type="number" [^>]*name="in:size" required[^>]* value="1.5" step="any"',
        r'<input type="number" [^>]*name="in:count" required[^>]* step="1" min="-5" max="1000"',
        r'<input type="radio" [^>]*name="in:charging" value="true" checked required',
        r'<input type="radio" [^>]*name="in:spare" value="" checked>',
        r'<input type="radio" [^>]*name="in:class" value="x y" required>',
        r'<input type="text" [^>]*name="in:town" [^>]*value="Argos" list=',
        r'<input type="date" [^>]*name="in:built"[^>]* value="2024-03-01"',
        r'<input type="date" [^>]*name="in:seen-on" required[^>]* min="2000-01-01" max="2030-12-31"',
    ):
        assert re.search(control, page), control
    assert "Seen in training: 2020-01-01 to 2026-01-01" in page


def test_the_form_takes_values_as_they_are_in_the_training_data(as_file: Client) -> None:
    page = as_file.get("/").text
    for control in (
        r'<input type="text" [^>]*name="in:price"[^>]* value="1234,5"',
        r'<input type="date" [^>]*name="in:born"[^>]* value="1999-12-31"',
        r'<input type="radio" [^>]*name="in:paid" value="true" checked required',
    ):
        assert re.search(control, page), control
    assert "Written as 1.234,5 €" in page
    row = {"in:price": "1.234,50 €", "in:rooms": "3", "in:paid": "false", "in:born": "31.12.1999", "in:town": " BERN"}
    answered = as_file.form("/press", urlencode(row))
    assert answered.status == 200 and "No prediction" not in answered.text
    refused = as_file.form("/press", urlencode(row | {"in:price": "1.23,4"}))
    assert "Expected a number (or as in" in unescape(refused.text)


@pytest.mark.parametrize("path", ["/?at=%ff", "/?other=1", "/?3,4", "/?at=1;seen=2"])
def test_unusual_queries_are_not_an_error_of_the_server(robots: Client, path: str) -> None:
    assert robots.get(path).status in (200, 404)


def test_many_categories_become_a_list(deployment: Deployment, tmp_path: Path) -> None:
    town = {
        "name": "town",
        "type": "category",
        "nullable": True,
        "categories": [f"T{i}" for i in range(9)],
        "example": "T3",
    }
    deployment.publish(bundle(tmp_path / "b", [town]))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert re.search(r'<select [^>]*name="in:town"', page)
        assert '<option value="T3" selected>T3</option>' in page


def test_every_control_has_a_label_and_every_id_is_unique(every_type: Client) -> None:
    page = every_type.get("/").text
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    labelled = set(re.findall(r'<label for="([^"]+)"', page))
    controls = re.findall(r'<(?:input type="(?:number|text|date)"|select|textarea) id="([^"]+)"', page)
    assert set(controls) <= labelled
    for reference in re.findall(r'aria-(?:describedby|labelledby)="([^"]+)"', page):
        assert set(reference.split()) <= set(ids)


def test_the_prediction_uses_the_labels_of_classes(robots: Client) -> None:
    page = press(robots, {"robot-age": "5", "rust-level": " 9 ", "battery": "low"})
    said = alert_of(page)
    assert "Bad Condition" in said
    assert "97 % probability" in said
    assert "expects about 97 to be “Bad Condition”" in said
    assert 'value=" 9 "' in page  # the form keeps what was typed
    assert "<html" in page
    assert "Good Condition" in alert_of(press(robots, {"robot-age": "0"}))


def test_htmx_gets_only_the_part(robots: Client) -> None:
    part = press(robots, {"robot-age": "5"}, HX_Request="true")
    assert part.lstrip().startswith('<section id="ask"')
    assert "<html" not in part
    assert 'role="alert"' in part


def test_a_regression_shows_its_number_and_typical_error(hours: Client) -> None:
    said = alert_of(press(hours, {"robot-age": "4"}))
    assert "6 h" in said
    assert "its typical error is about 1.5 h" in said


def test_an_invalid_value_is_marked_at_its_field(robots: Client) -> None:
    page = press(robots, {"robot-age": "500", "battery": "low"})
    assert "a number from 0 to 60" in alert_of(page)
    assert re.search(r'name="in:robot-age" required aria-describedby="[^"]*in-0-error" aria-invalid="true"', page)
    assert "This field is required." in alert_of(press(robots, {"robot-age": " "}))


def test_foreign_text_is_escaped(deployment: Deployment, tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>'
    inputs = [
        {
            "name": f'"{evil}',
            "type": "category",
            "nullable": False,
            "categories": [evil, "b"],
            "description": evil,
            "example": evil,
        }
    ]
    card = f"# m\n\n{evil}\n\n[link](javascript:alert(1)) <img src=x onerror=alert(1)>\n\n![p](https://elsewhere.example/p.png)\n"
    deployment.publish(bundle(tmp_path / "b", inputs, card=card, labels={"0": evil, "1": evil}))
    write_json(
        deployment.folder / "state" / "services.json",
        {"updated": "x", "services": [{"name": evil, "state": evil, "why": evil, "address": evil}]},
    )
    with serving(deployment) as (_, client):
        for page in (client.get("/").text, press(client, {f'"{evil}': evil}), press(client, {f'"{evil}': evil * 2})):
            assert "<script>" not in page
            assert "<img src=x" not in page
            assert 'href="javascript' not in page
            assert 'src="http' not in page


def test_the_model_its_scores_and_pictures(robots: Client) -> None:
    page = robots.get("/").text
    assert '<p class="lead">Is this robot in bad condition?</p>' in page
    assert "<h3>Limits</h3>" in page
    assert "Balanced accuracy" not in page  # it shows what the bundle has, nothing else
    assert "No sign of overfitting." in page
    assert 'src="/plots/1/roc.svg"' in page
    assert 'data-chart="calibration"' in page


def test_tables_of_the_card_scroll_with_the_keyboard_and_have_no_empty_headers(
    deployment: Deployment, tmp_path: Path
) -> None:
    card = "# m\n\nLead.\n\n| score | value | |\n|---|---:|---|\n| F1 | 0.9 | good |\n"
    deployment.publish(bundle(tmp_path / "b", card=card))
    with serving(deployment) as (_, client):
        page = client.get("/").text
    assert re.search(r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+"><table>', page)
    assert '<th class="n">value</th>' in page
    assert "<th></th>" not in page


def test_pictures_cannot_run_scripts(robots: Client) -> None:
    picture = robots.get("/plots/1/roc.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in picture.headers["content-security-policy"]
    for path in (
        "/plots/2/roc.svg",
        "/plots/1/none.svg",
        "/plots/1/..%2Fcard.md",
        "/plots/1/%2e%2e/model.onnx",
        "/plots/1/x.html",
        "/plots/1",
    ):
        assert robots.get(path).status == 404, path


@pytest.mark.parametrize(
    "path", ["/nowhere", "/static/../button.py", "/static/%2e%2e/page.py", "/parts", "/static/none.js"]
)
def test_missing_pages_are_404(robots: Client, path: str) -> None:
    answer = robots.get(path)
    assert answer.status in (403, 404)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/press"), ("POST", "/"), ("GET", "/approve"), ("DELETE", "/hold"), ("POST", "/parts/runs")],
)
def test_another_method_is_405(robots: Client, method: str, path: str) -> None:
    assert robots(method, path).status == 405


def test_an_invalid_form_is_rejected(robots: Client) -> None:
    assert robots("POST", "/press", "{}", Content_Type="application/json").status == 415
    assert robots.form("/press", "in%3Arobot-age=%ff").status == 400
    assert robots.form("/press", "a=" + "b" * 2_000_000).status == 413


def test_parts_are_sent_only_when_they_changed(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    with serving(deployment) as (_, client):
        for part in ("status", "services", "runs", "versions"):
            found = re.search(rf"/parts/{part}\?seen=(\w+)", client.get("/").text)
            assert found, part
            assert client.get(f"/parts/{part}?seen={found[1]}").status == 204
            assert client.get(f"/parts/{part}?seen=other").status == 200
        write_json(
            deployment.folder / "state" / "services.json",
            {
                "updated": "2026-01-01T00:00:00Z",
                "services": [{"name": "button", "state": "restarting", "why": "it left", "restarts": 2}],
            },
        )
        part = client.get("/parts/services").text
        assert "restarting" in part
        assert "it left" in part
        assert "2 restarts" in part


def test_incomplete_state_files_do_not_break_the_page(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    with serving(deployment) as (_, client):
        for name in ("services.json", "deployment.json"):
            (deployment.folder / "state" / name).write_text('{"services": [')
        (deployment.folder / "runs" / "20260101-000000-abcd").mkdir()
        page = client.get("/")
        assert page.status == 200
        assert "runs/20260101-000000-abcd/run.json is missing." in page.text


def test_runs_show_their_stages_and_outcome(deployment: Deployment, tmp_path: Path) -> None:
    deployment.publish(bundle(tmp_path / "b"))
    run = Run.create(deployment.folder, "", "robots", Params(), tier="persephone", runner="script")
    times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:02.500+00:00", "seconds": 2.5}
    with serving(deployment) as (_, client):
        run.mark(StageRecord("load_data", "running", times["started"]))
        assert ">running<" in client.get("/parts/runs").text
        run.mark(StageRecord("load_data", "failed", error="the file is empty.", **times))
        part = client.get("/parts/runs").text
        assert ">failed<" in part
        assert "the file is empty." in part
        run.mark(StageRecord("load_data", "done", **times))
        outcome = {"decision": "promoted", "model": "robots", "version": "7", "reason": "Better than the baseline."}
        write_json(run.path("outcome.json"), outcome)
        part = client.get("/parts/runs").text
        assert "Better than the baseline." in part
        assert "took 2.5 s, version 7" in part
        assert run.id in part


@pytest.fixture
def challenged(deployment: Deployment, tmp_path: Path) -> Deployment:
    """Version 1 is serving; version 2 waits for approval."""
    deployment.publish(bundle(tmp_path / "one"), score=0.8)
    version = deployment.publish(bundle(tmp_path / "two"), promote=False, score=0.9)
    deployment.store.promote("robots", version, "challenger", by="workflow", note="A little better.")
    return deployment


def decide(client: Client, verb: str, version: str = "2", **headers: str) -> str:
    answer = client.form(
        f"/{verb}", urlencode({"model": "robots", "version": version, "note": "Looked at the slices."}), **headers
    )
    assert answer.status == 200
    return answer.text


def test_an_approved_challenger_serves_immediately(challenged: Deployment) -> None:
    with serving(challenged) as (_, client):
        page = client.get("/").text
        assert "Version 2 is waiting for approval" in page
        assert "A little better." in page
        assert json.loads(unescape(re.findall(r'data-chart="history"[^>]*data-points=\'([^\']+)', page)[0])) == [
            [1, 0.8],
            [2, 0.9],
        ]
        assert "Version 2 is approved and is serving now." in decide(client, "approve")
        assert client.predict({"robot-age": 1}).headers["x-model-version"] == "2"
        champion = challenged.store.alias("robots")
        assert champion
        assert (champion.version, champion.by, champion.note) == ("2", "page", "Looked at the slices.")
        assert challenged.store.alias("robots", "challenger") is None


def test_a_challenger_is_held_with_a_note(challenged: Deployment) -> None:
    with serving(challenged) as (_, client):
        part = decide(client, "hold", HX_Request="true")
        assert part.lstrip().startswith('<section id="versions"')
        assert "Version 2 is held" in part
        assert "Looked at the slices." in part
        held = challenged.store.alias("robots", "challenger")
        assert held
        assert (held.version, held.note) == ("2", "Looked at the slices.")
        assert client.predict({"robot-age": 1}).headers["x-model-version"] == "1"


def test_a_decision_about_a_former_challenger_changes_nothing(challenged: Deployment) -> None:
    with serving(challenged) as (_, client):
        assert "the challenger of robots is version 2, not 1" in unescape(decide(client, "approve", version="1"))
        assert client.get("/healthz").json["version"] == "1"
        assert client.form("/approve", urlencode({"model": "../etc", "version": "1"})).status == 200
        assert challenged.store.alias("robots", "challenger")


def test_the_first_model_of_all_may_be_approved_on_the_page(deployment: Deployment, tmp_path: Path) -> None:
    version = deployment.publish(bundle(tmp_path / "one"), promote=False)
    deployment.store.promote("robots", version, "challenger")
    with serving(deployment) as (_, client):
        assert "Version 1 is waiting for approval" in client.get("/").text
        decide(client, "approve", version="1")
        assert client.predict({"robot-age": 50}).json == {"prediction": [0]}


def test_hints_and_names_come_from_the_signature(deployment: Deployment, tmp_path: Path) -> None:
    inputs = [ROBOTS[0] | {"description": "Years since it was built", "seen": [0.10000000149, 41.0]}]
    deployment.publish(bundle(tmp_path / "b", inputs))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert "Years since it was built. Seen in training: 0.1 to 41" in page
        assert "Predict the condition" in page

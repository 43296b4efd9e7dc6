"""The catalogue of features on the page, and the question about an entity's features."""

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pantheon.files import write_json
from tests.support.bundles import bundle
from tests.support.button import Client, Deployment, serving
from tests.support.endpoint import free_port
from tests.support.features import ENGINEERED, KEY, RUN, VISITS, look, rows, sample, service, write

THEN = "2026-03-05T00:00:00"


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def at_hephaestus(deployment: Deployment, features: str = "feast") -> None:
    route = {"features": features}
    settings = {"tier": "hephaestus", "dataset": deployment.model, "route": route}
    write_json(deployment.folder / "state" / "deployment.json", settings)


@contextlib.contextmanager
def with_features(folder: Path, address: str) -> Iterator[Client]:
    """A button whose model was trained on features of the service at ``address``."""
    deployment = Deployment(folder / "state-folder")
    key = deployment.folder / "secrets" / "features" / "key"
    key.parent.mkdir()
    key.write_text(KEY)
    deployment.publish(bundle(folder / "one"))
    second = deployment.store.publish("robots", bundle(folder / "two"), {"run": RUN})
    deployment.store.promote("robots", second, by="test")
    at_hephaestus(deployment)
    with serving(deployment, feature_store=address) as (_, client):
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("features")
    sample(folder / "parts")
    with service(look(folder / "parts")) as address, with_features(folder, address) as logged_in:
        yield logged_in


def asked(client: Client, query: str = "") -> dict[str, Any]:
    answers = client.get(f"/questions{query}").json["questions"]
    found: dict[str, Any] = next(each for each in answers if each["id"] == "features_at")
    return found


def test_the_list_says_how_fresh_views_are_what_failed_and_which_models_use_them(client: Client) -> None:
    page = client.get("/features").text
    assert page.count('<th scope="row">') == 3
    shown = text_of(page)
    for part in ("robots raw, of Robots anna 5 400 robot-id (200)", "2 failed", "Robots 2 (champion)", "no model"):
        assert part in shown, part
    assert "none: for training only" in shown, "visits have no entity"
    assert '<a href="/features" aria-current="page">Features</a>' in page


@pytest.mark.parametrize(
    ("words", "views"),
    [("", 3), ("anna", 2), ("RUST-level", 1), ("robots engineered", 1), ("ben", 2), ("nothing<b>", 0), ("anna ben", 1)],
)
def test_views_are_found_by_their_names_owners_and_features(client: Client, words: str, views: int) -> None:
    page = client.get(f"/features?q={quote(words)}").text
    assert page.count('<th scope="row">') == views
    assert ("None of the 3 views matches" in page) is (views == 0)
    assert "nothing<b>" not in page


def test_a_view_has_its_features_checks_distributions_and_lineage(client: Client) -> None:
    page = client.get("/features/robots").text
    shown = text_of(page)
    for part in ("Robots and how they are", "years since it was built", "0 to 20", "maximum 99, at most 20"):
        assert part in shown, part
    assert "1 % missing, at most 0 %" in shown and "never missing" in shown
    assert page.count('<svg class="histogram"') == 3, "two numbers and a date"
    assert 'aria-label="Histogram of inspected, from 2025' in page
    assert re.search(r"<dt>low</dt><dd>33(\.\d)? %</dd>", page)
    assert f'href="/features/{ENGINEERED.name}"' in page
    assert "20260311T000000000000Z-00000000000000c8.parquet" in shown and RUN in shown
    engineered = text_of(client.get(f"/features/{ENGINEERED.name}").text)
    for part in (
        '"rust-level" / ("robot-age" + 1)',
        "Robots 2 champion",
        "robots_20260301_120000_ab12",
    ):
        assert part in engineered, part
    assert "Look up an entity" not in client.get("/features/visits").text


def test_a_view_that_does_not_exist_is_404_with_the_others(client: Client) -> None:
    for name in ("robotz", "a/b", "%3Cb%3E", "..", "%00"):
        answer = client.get(f"/features/{name}")
        assert answer.status == 404, name
    assert "no feature view" in client.get("/features/robotz").text


def test_an_entitys_features_at_a_time(client: Client) -> None:
    shown = text_of(client.get(f"/features?entity=robot-id%3D7%2C+8&at={THEN}").text)
    assert "As they were known at 2026-03-05 00:00:00 UTC" in shown
    for part in ("7 known", "8 known", "robot_age 11", "rust_level 7", "battery full", "since 2026-03-01"):
        assert part in shown, part
    assert "7 expired" in text_of(client.get("/features?entity=7&at=2027-01-01").text)
    assert "7 unknown" in text_of(client.get("/features?entity=7&at=2020-01-01").text)
    assert "painted missing" in text_of(client.get(f"/features?entity=5&at={THEN}&view=robots").text)
    assert "No feature view has this entity." in client.get(f"/features?entity=shop%3D7&at={THEN}").text


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("entity=7&at=soon", "is not a valid time"),
        (f"entity={'%2C'.join(map(str, range(21)))}", "At most 20 entities at once"),
        ("entity=7&view=robotz", "no feature view"),
        ("entity=%3D", "Type an entity"),
    ],
)
def test_what_cannot_be_looked_up_is_said(client: Client, query: str, why: str) -> None:
    assert why in client.get(f"/features?{query}").text


def test_the_question_is_answered_live(client: Client) -> None:
    newest = asked(client)
    assert newest["state"] == "answered"
    assert "robot-id 199" in newest["answer"], "by default, the entity of the newest row"
    then = asked(client, f"?entity=robot-id%3D7&at={THEN}Z")
    assert then["answer"] == (
        "At 2026-03-05 00:00:00 UTC, robot-id 7 had: robot_age 11, rust_level 7, battery full, inspected "
        "2026-02-22, painted no (robots, since 2026-03-01 00:00:00 UTC); rust_per_year 0.583333 "
        f"({ENGINEERED.name}, since 2026-03-01 00:00:00 UTC)."
    )
    assert then["facts"]["rows"][0]["features"]["rust_level"] == 7
    before = asked(client, "?entity=7&at=2020-01-01T00:00:00Z")["answer"]
    assert before == f"At 2020-01-01 00:00:00 UTC, nothing was known about robot-id 7, in robots, {ENGINEERED.name}."
    old = asked(client, "?entity=7&at=2026-06-01T00:00:00Z")["answer"]
    assert "robots: expired, the last values are those of 2026-03-11" in old
    assert asked(client, "?entity=shop%3D7")["state"] == "unanswered"
    page = client.get(f"/?entity=7&at={THEN}").text
    assert '<input type="text" id="entity" name="entity" value="7"' in page and "rust_level 7" in page


def test_only_after_a_login(client: Client) -> None:
    for path in ("/features", "/features/robots", "/features?entity=7"):
        answer = Client(client.port).get(path)
        assert answer.status == 401 and "robots_engineered" not in answer.text


def test_a_tier_without_a_feature_store_names_the_first_that_has_one(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "state-folder", tier="epimetheus")
    with serving(deployment) as (_, client):
        answer = client.get("/features")
        assert answer.status == 404 and "The first tier that has one is hephaestus" in answer.text
        assert "/features" not in client.get("/").text
        assert asked(client)["answer"].startswith("This tier cannot answer this. The first tier that can is hephaestus")
        at_hephaestus(deployment, "")
        assert "it runs without Feast" in asked(client)["answer"]


def test_a_store_that_is_away_is_said_and_predictions_go_on(tmp_path: Path) -> None:
    port = free_port()
    with with_features(tmp_path, f"http://127.0.0.1:{port}") as client:
        for path in ("/features", "/features/robots", "/features?entity=7"):
            answer = client.get(path)
            assert answer.status == 503, path
            assert f"127.0.0.1:{port} does not answer" in text_of(answer.text)
        assert asked(client)["state"] == "unanswered"
        assert client.predict({"robot-age": 5}).status == 200


def test_without_rows_or_entities_the_question_says_so(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    with service(look(parts)) as address, with_features(tmp_path, address) as client:
        empty = asked(client)
        assert (empty["state"], empty["source"]) == ("answered", "the feature store")
        assert "Nothing is known yet" in empty["answer"]
        assert "no rows" in client.get("/features").text
        write(parts, VISITS, rows(VISITS, [{"id": "r1", "at": 0, "minutes": 5.0}]))
        assert "has an entity" not in asked(client)["answer"], "robots have one, without rows"
        assert asked(client)["state"] == "unanswered"
    with service(look(parts, [VISITS])) as address, with_features(tmp_path / "two", address) as client:
        assert asked(client)["answer"].startswith("None: no dataset has an entity column")


def test_a_wrong_key_is_said(tmp_path: Path) -> None:
    sample(tmp_path / "parts")
    with service(look(tmp_path / "parts")) as address, with_features(tmp_path, address) as client:
        (tmp_path / "state-folder" / "secrets" / "features" / "key").write_text("other")
        answer = client.get("/features")
        assert (answer.status, "needs the key of the feature store" in answer.text) == (503, True)

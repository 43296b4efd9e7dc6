"""The endpoint and the store of its log as components of a deployment, through the command line."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pantheon.predictions.place import open_place
from pantheon.predictions.read import predictions
from pantheon.routing.policy import Policy, as_json
from pantheon.state import read_services
from pantheon.store import ANY, FolderStore, StoredPolicy
from tests.support.button import Client
from tests.support.command_line import Pantheon, make_pantheon
from tests.support.frontend import Visitor
from tests.support.waiting import until

WITHOUT = "airflow,jupyter,dvc,monitoring,s3"  # the endpoint, its log, the front end and the button
ROW = {"robot-age": 5, "rust-level": 9, "battery": "low"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path_factory.mktemp("endpoint") / "home", TRIALS="1")
    made("up", "epimetheus", "--without", WITHOUT)
    try:
        yield made
    finally:
        made("destroy", "--confirm", "yes")


def service(made: Pantheon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in made("status", "--json").json["services"] if each["name"] == name)
    return found


@pytest.fixture(scope="module")
def client(made: Pantheon) -> Client:
    address = service(made, "endpoint")["address"]
    token = made("keys", "add", "shop", "--models", "robots").out.strip()
    client = Client(int(address.rpartition(":")[2]), {"Authorization": f"Bearer {token}"})
    until(lambda: client.predict(ROW).status == 200)
    return client


def stored(made: Pantheon) -> set[str]:
    """The ids in Parquet files."""
    return set(predictions(open_place(made.state), None, model="robots")["id"])


def test_answers_are_stored_as_files(made: Pantheon, client: Client) -> None:
    answer = client.predict(ROW)
    assert answer.json == {"prediction": [0]}
    until(lambda: answer.headers["x-request-id"] in stored(made))
    assert "shop" in made("keys", "list").out


def test_feedback_of_a_file_is_taken_and_shown(made: Pantheon, client: Client, tmp_path: Path) -> None:
    answer = client.predict(ROW, {**ROW, "robot-age": 30})
    id = answer.headers["x-request-id"]
    file = tmp_path / "feedback.csv"
    file.write_text(f"id,row,correct,value,comment\n{id},0,no,1,it works\n{id},1,,0,\n{id},7,yes,,\nx,0,yes,,\n")
    for _ in range(2):  # taking it again changes nothing
        taken = made("feedback", "import", str(file), "--overwrite", "--json", check=False)
        assert taken.status == 3, taken.err
        assert (taken.json["rows"], taken.json["sent"], taken.json["refused"]) == (4, 2, 2)
    refused = (tmp_path / "feedback.refused.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in refused] == ["refused_row", "3", "4"]
    shown = made("predictions", id, "--json").json
    first, second = shown["rows"]
    assert (first["correct"], first["true_value"], first["said_by"]) == (False, 1, "import")
    assert (second["correct"], second["true_value"]) == (None, 0)
    assert [row["replay"]["same"] for row in shown["rows"]] == [True, True]
    words = made("predictions", id).out
    for text in ("the same answer", "wrong; truly 1; it works", "sha256", "Most of it: "):
        assert text in words
    assert not list(tmp_path.glob(".*"))


def test_a_routing_policy_that_names_nothing_is_a_warning(made: Pantheon, client: Client) -> None:
    def warned() -> bool:
        return "The policy names version 99" in "".join(made("status", "--json").json["warnings"])

    assert not warned()
    store = FolderStore(made.state / "models")
    policy = Policy("robots", pin="99")
    store.swap_policy("robots", StoredPolicy.new(as_json(policy), policy.versions), ANY)
    until(warned)
    made("route", "clear")
    until(lambda: not warned())


def test_a_killed_endpoint_comes_back_and_its_log_is_complete(made: Pantheon, client: Client) -> None:
    ids = [client.predict(ROW).headers["x-request-id"] for _ in range(20)]
    pid = next(each.pid for each in read_services(made.state).services if each.name == "endpoint")
    psutil.Process(pid).kill()
    until(lambda: answers(client))
    until(lambda: set(ids) <= stored(made))


def answers(client: Client) -> bool:
    try:
        return client.predict(ROW).status == 200
    except OSError:
        return False


def test_the_button_asks_the_endpoint_and_answers_questions_from_the_log(made: Pantheon, client: Client) -> None:
    button = Client(int(service(made, "button")["address"].rpartition(":")[2]))
    answer = button.predict(ROW)
    assert answer.json == {"prediction": [0]}
    id = answer.headers["x-request-id"]
    button.predict(ROW)
    questions = {each["id"]: each for each in made("ask", "--request", id, "--json").json["questions"]}
    assert questions["request"]["state"] == "answered", questions["request"]
    assert (questions["request"]["facts"]["id"], questions["request"]["facts"]["key"]) == (id, "button")
    assert questions["feedback"]["state"] in ("answered", "unanswered")
    until(lambda: id in stored(made))


def test_services_of_the_deployment_have_keys(made: Pantheon, client: Client) -> None:
    token = (made.state / "secrets" / "endpoint_keys" / "metrics").read_text()
    request = urllib.request.Request(
        f"http://127.0.0.1:{client.port}/metrics", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b"pantheon_requests_total" in answer.read()
    kept = json.loads((made.state / "state" / "keys.json").read_text())["keys"]
    assert [key["name"] for key in kept] == ["shop"]


def test_the_front_end_asks_with_its_own_key(made: Pantheon) -> None:
    found = service(made, "frontend")
    assert found["state"] == "healthy"
    visitor = Visitor(Client(int(found["address"].rpartition(":")[2])))
    page = visitor.predict(robot_age="20", rust_level="9", battery="low")
    assert '<p class="headline">Bad Condition</p>' in page.text
    assert visitor.feedback(page, "yes").status == 303
    until(lambda: not list((made.state / "volumes" / "frontend" / "outbox").glob("*.json")))


def test_a_revoked_key_is_refused(made: Pantheon, client: Client) -> None:
    made("keys", "revoke", "shop")
    until(lambda: client.predict(ROW).status == 401)

"""Logging in: at JupyterHub, by it at TensorBoard, and what is refused."""

import time
import urllib.parse
from pathlib import Path

import pytest
import requests
from tensorboardX import SummaryWriter

from pantheon.hub import people as stored
from tests.support.hub import PAGE, Hub, Person
from tests.support.waiting import until


def test_a_wrong_password_and_a_form_without_its_token_are_refused(hub: Hub) -> None:
    stranger = Person(hub, "admin", "not the password")
    answer = stranger.post_form(stranger.get("/hub/login"), stranger.password)
    assert answer.status_code == 403
    assert "Invalid username or password" in answer.text
    assert Person(hub, "nobody", "x").session.get(f"{hub.url}/hub/api/user", timeout=60).status_code == 403
    forged = requests.post(f"{hub.url}/hub/login", data={"username": "admin", "password": "x"}, timeout=60)
    assert forged.status_code == 403
    assert "_xsrf" in forged.text or "XSRF" in forged.text


def test_the_login_leads_nowhere_else(hub: Hub) -> None:
    somebody = Person(hub, "admin", hub.secret("hub_password"))
    answer = somebody.post_form(somebody.get("/hub/login?next=https://example.com/"), somebody.password)
    assert answer.url == f"{hub.url}/hub/home"
    first = requests.get(f"{hub.tensorboard}//example.com/", headers=PAGE, allow_redirects=False, timeout=60)
    assert first.headers["Location"].startswith(f"{hub.url}/hub/api/oauth2/authorize?")
    last = somebody.get(f"{hub.tensorboard}//example.com/", headers=PAGE)
    assert urllib.parse.urlsplit(last.url).netloc == urllib.parse.urlsplit(hub.tensorboard).netloc


def test_curves_are_seen_after_a_login_and_cookies_are_for_the_server_alone(
    hub: Hub, people: dict[str, Person]
) -> None:
    folder = hub.state / "kubeflow" / "tensorboard" / "team" / "tune-1" / "trial-1"
    with SummaryWriter(str(folder)) as writer:
        for step in range(5):
            writer.add_scalar("roc_auc", 0.5 + step / 10, step)
    seen = people["view"]
    board = f"{hub.tensorboard}/team/data/plugin/scalars"
    tags = until(lambda: seen.get(f"{board}/tags", headers=PAGE).json())
    assert tags == {"tune-1/trial-1": {"roc_auc": {"displayName": "roc_auc", "description": ""}}}
    curve = seen.get(f"{board}/scalars?run=tune-1%2Ftrial-1&tag=roc_auc").json()
    assert [(step, round(value, 6)) for _, step, value in curve] == [(n, 0.5 + n / 10) for n in range(5)]
    cookies = [each for each in seen.session.cookies if each.name != "_xsrf"]  # that one is read by the pages
    assert {each.name.partition("-")[0] for each in cookies} == {"jupyterhub", "pantheon"}
    for each in cookies:
        assert each.has_nonstandard_attr("HttpOnly"), each.name
        assert each.get_nonstandard_attr("SameSite") == "Lax", each.name
        assert hub.secret("tensorboard_token") not in str(each.value)


def test_what_is_no_page_gets_an_error_instead_of_a_login(hub: Hub) -> None:
    answer = requests.get(f"{hub.tensorboard}/team/data/runs", headers={"Accept": "application/json"}, timeout=60)
    assert (answer.status_code, "needs a login" in answer.json()["error"]["message"]) == (401, True)
    assert requests.get(f"{hub.tensorboard}/healthz", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/oauth_callback", 400, "did not begin in this browser"),
        ("/oauth_callback?code=x&state=y", 400, "did not begin in this browser"),
        ("/oauth_callback?code=%ff&state=%00", 400, "did not begin in this browser"),
        ("/logout", 405, "send a POST"),
    ],
)
def test_a_login_that_did_not_begin_here_is_refused(hub: Hub, path: str, status: int, text: str) -> None:
    session = requests.Session()
    session.get(hub.tensorboard, headers=PAGE, allow_redirects=False, timeout=60)  # has a state, but another one
    answer = session.get(hub.tensorboard + path, headers=PAGE, allow_redirects=False, timeout=60)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_a_code_is_not_accepted_twice_nor_without_the_state_of_its_browser(hub: Hub, people: dict[str, Person]) -> None:
    mine = people["view"]
    attacked = requests.Session()
    begun = attacked.get(hub.tensorboard, headers=PAGE, allow_redirects=False, timeout=60)
    back = mine.session.get(begun.headers["Location"], allow_redirects=False, timeout=60).headers["Location"]
    assert back.startswith(f"{hub.tensorboard}/oauth_callback?")
    victim = requests.get(back, headers=PAGE, allow_redirects=False, timeout=60)
    assert victim.status_code == 400, "a link to somebody else's login logs nobody in"
    first = attacked.get(back, headers=PAGE, allow_redirects=False, timeout=60)
    assert (first.status_code, first.headers["Location"]) == (302, hub.tensorboard + "/")
    state = dict(begun.cookies.items())
    again = requests.get(back, headers=PAGE, cookies=state, allow_redirects=False, timeout=60)
    assert again.status_code == 400
    assert "JupyterHub does not accept this login" in again.text


@pytest.mark.parametrize("value", ["", "x", "A" * 32, "é" * 20, "A" * 5000])
def test_a_forged_session_is_no_login(hub: Hub, value: str) -> None:
    name = f"pantheon-tensorboard-{6006 + hub.offset}"
    headers = {"Accept": "application/json", "Cookie": f"{name}={value}".encode()}
    answer = requests.get(f"{hub.tensorboard}/team/data/runs", headers=headers, timeout=60)
    assert answer.status_code in (400, 401)


def test_requests_by_another_name_or_from_another_page_are_refused(hub: Hub, people: dict[str, Person]) -> None:
    seen = people["view"]
    assert seen.get(f"{hub.tensorboard}/team/", headers={"Host": "evil.example"}).status_code == 403
    address = f"{hub.tensorboard}/team/data/plugin/timeseries/timeSeries"
    for origin in (hub.url, "http://evil.example", "null"):
        assert seen.session.post(address, headers={"Origin": origin}, timeout=60).status_code == 403, origin
    assert seen.session.post(address, timeout=60).status_code == 403, "browsers always send an origin"
    own = {"Origin": hub.tensorboard}
    assert seen.session.post(address, headers=own, files={"requests": (None, "[]")}, timeout=60).status_code == 200
    large = seen.session.post(address, headers=own, data=b"x" * (2 << 20), timeout=60)
    assert (large.status_code, "too large" in large.text) == (413, True)
    local = f"{hub.tensorboard}/team/".replace("127.0.0.1", "localhost")
    moved = requests.get(local, headers=PAGE, allow_redirects=False, timeout=60)
    assert (moved.status_code, moved.headers["Location"]) == (302, f"{hub.tensorboard}/team/")


def test_a_program_sends_a_token_of_its_user(hub: Hub, people: dict[str, Person]) -> None:
    mine = people["edit"]
    made = mine.api("POST", f"/users/{mine.name}/tokens", json={"note": "a script"})
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert requests.get(f"{hub.tensorboard}/team/data/runs", headers=headers, timeout=60).status_code == 200
    assert requests.get(f"{hub.tensorboard}/other/data/runs", headers=headers, timeout=60).status_code == 403
    headers = {"Authorization": "Bearer not-a-token"}
    assert requests.get(f"{hub.tensorboard}/team/data/runs", headers=headers, timeout=60).status_code == 401


def test_a_role_that_is_taken_away_ends_and_a_removed_user_is_out(hub: Hub) -> None:
    leaver = hub.person("lea", team="edit")
    board = f"{hub.tensorboard}/team/data/runs"
    assert leaver.get(board, headers=PAGE).status_code == 200
    stored.grant(hub.state, "default", "lea", "view")
    stored.grant(hub.state, "team", "lea", "")
    until(lambda: leaver.get(board, headers=PAGE).status_code == 403)
    assert leaver.api("POST", "/users/lea/server").status_code == 403
    assert leaver.get("/hub/home").status_code == 200
    stored.remove(hub.state, "lea")
    until(lambda: leaver.get(board, headers={"Accept": "application/json"}).status_code == 401)
    time.sleep(1.1)  # JupyterHub reads the file again after a second
    assert "/hub/login" in leaver.get("/hub/home").url
    assert leaver.api("GET", "/user").status_code == 403


def test_a_logout_ends_the_session_here_and_at_jupyterhub(hub: Hub) -> None:
    leaver = hub.person("leo", team="view")
    board = f"{hub.tensorboard}/team/data/runs"
    assert leaver.get(board, headers=PAGE).status_code == 200
    answer = leaver.session.post(f"{hub.tensorboard}/logout", headers={"Origin": hub.tensorboard}, timeout=60)
    assert answer.url.startswith(f"{hub.url}/hub/")
    assert leaver.get(board, headers={"Accept": "application/json"}).status_code == 401
    assert "/hub/login" in leaver.get(board, headers=PAGE).url


def test_no_log_has_a_secret(hub: Hub, people: dict[str, Person]) -> None:
    secrets = {path.name: path.read_text().strip() for path in (hub.state / "secrets").iterdir() if path.is_file()}
    secrets |= {person.name: person.password for person in people.values()}
    for log in (hub.state / "logs").iterdir():
        text = log.read_text()
        assert [name for name, secret in secrets.items() if secret in text] == [], log.name
    for file in [*(hub.state / "secrets").iterdir(), stored.people_file(hub.state)]:
        if file.is_file():
            assert file.stat().st_mode & 0o77 == 0, file
    listening = Path("/proc/net/tcp").read_text()
    ports = {f"{port + hub.offset:04X}" for port in (8888, 8889, 8890, 8891, 6006)}
    for line in listening.splitlines()[1:]:
        host, _, port = line.split()[1].partition(":")
        if port in ports and line.split()[3] == "0A":
            assert host == "0100007F", "on 127.0.0.1 only"

"""The page's login: what it protects, how people and commands log in, and attacks on it."""

import hashlib
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from pantheon.web import tokens
from serving.page.access import ATTEMPTS
from tests.support.bundles import bundle
from tests.support.button import PASSWORD, Answer, Client, Deployment, logged_in, serving
from tests.support.waiting import until

CHANGES = ("approve", "hold", "rollback")
DECISION = urlencode({"model": "robots", "version": "2", "champion": "1", "note": "mine"})
NOBODY = 65534


@pytest.fixture
def challenged(deployment: Deployment, tmp_path: Path) -> Deployment:
    """Version 1 is serving; version 2 waits for approval."""
    deployment.publish(bundle(tmp_path / "one"))
    version = deployment.publish(bundle(tmp_path / "two"), promote=False)
    deployment.store.promote("robots", version, "challenger", by="workflow")
    return deployment


def stored(deployment: Deployment) -> dict[str, str]:
    """Every file of the models and of what the services share, with its hash."""
    folders = (deployment.folder / "models", deployment.folder / "shared")
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].split(";")[0]


def opened(deployment: Deployment, client: Client) -> Answer:
    """The answer to a new login link."""
    url = urlsplit(deployment.link(client.port))
    return client.get(f"{url.path}?{url.query}")


# without a login -----------------------------------------------------------------------------------------------------


def test_the_button_and_its_api_need_no_login(robots: Client) -> None:
    anyone = Client(robots.port)
    assert anyone.predict({"robot-age": 50}).json == {"prediction": [0]}
    for path in ("/", "/signature", "/healthz", "/openapi.json", "/static/page.css", "/login"):
        assert anyone.get(path).status == 200, path
    assert 'role="alert"' in anyone.form("/press", "in%3Arobot-age=5").text


def test_the_page_shows_only_the_button_and_the_architecture(robots: Client) -> None:
    page, full = Client(robots.port).get("/").text, robots.get("/").text
    for part in ("model", "versions", "runs", "questions", "services"):
        assert f'id="{part}"' not in page, part
        assert f'id="{part}"' in full, part
    assert 'id="ask"' in page and 'id="architecture"' in page and 'id="password"' in page
    assert 'id="password"' not in full and 'action="/logout"' in full


@pytest.mark.parametrize(
    "path",
    ["/runs.json", "/questions", "/plots/1/roc.svg", "/nowhere", "/press/", "//", "/static", "/PREDICT"]
    + [f"/parts/{part}" for part in ("services", "runs", "versions", "questions")],
)
def test_everything_else_needs_a_login(robots: Client, path: str) -> None:
    refused = Client(robots.port).get(path)
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert robots.get(path).status != 401
    if path in ("/runs.json", "/questions"):
        assert "needs a login" in refused.error["message"]
    else:
        assert 'id="password"' in refused.text


def test_an_open_page_whose_session_has_ended_goes_to_the_login(robots: Client) -> None:
    refused = Client(robots.port).get("/parts/runs?seen=x", HX_Request="true")
    assert (refused.status, refused.headers["hx-redirect"]) == (401, "/login?why=ended")
    assert "no longer logged in" in Client(robots.port).get("/login?why=ended").text


# attacks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", CHANGES)
def test_nobody_without_a_login_changes_anything(challenged: Deployment, verb: str) -> None:
    with serving(challenged) as (_, client):
        before, port, now = stored(challenged), client.port, time.time()
        mine, origin = client.headers["Cookie"], client.headers["Origin"]
        name, _, value = mine.partition("=")
        old = logged_in(Client(port))
        assert old.form("/logout", "").status == 303
        forged = {
            "no cookie": "",
            "empty": f"{name}=",
            "an old cookie": old.headers["Cookie"],
            "an expired one": f"{name}={tokens.sign(PASSWORD, 'session', -1)}",
            "another deployment's": f"{name}={tokens.sign('x' * 40, 'session', 60)}",
            "a link": f"{name}={tokens.sign(PASSWORD, 'link', 60)}",
            "a command's token": f"{name}={tokens.sign(PASSWORD, 'command', 60)}",
            "the password": f"{name}={PASSWORD}",
            "a changed one": f"{name}={value[:-1]}{'A' if value[-1] != 'A' else 'B'}",
            "another name": f"pantheon-1={value}",
            "a path": f"{name}=../../../../etc/passwd",
        }
        for what, cookie in forged.items():
            answer = Client(port).form(f"/{verb}", DECISION, Cookie=cookie, Origin=origin)
            assert answer.status == 401, what
            assert "Nothing was changed." in answer.text
        for token in (PASSWORD, value, tokens.sign(PASSWORD, "command", -1), ""):
            assert Client(port).form(f"/{verb}", DECISION, Authorization=f"Bearer {token}").status == 401
        for headers in (
            {},  # as no browser sends it
            {"Origin": f"http://localhost:{port + 1}"},  # another port is the same site: it has the cookie
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {"Origin": origin, "Sec-Fetch-Site": "same-site"},
            {"Origin": origin, "Host": f"evil.example:{port}"},
        ):
            answer = Client(port).form(f"/{verb}", DECISION, **{"Cookie": mine, **headers})
            assert answer.status in (401, 403), headers
        for path in (
            f"/static/../{verb}",
            f"/{verb}/",
            f"//{verb}",
            f"/login/../{verb}",
            f"/%2e/{verb}",
            f"/press/{verb}",
        ):
            assert Client(port).form(path, DECISION, Origin=origin).status in (401, 403, 404), path
        assert client.get(f"/{verb}?{DECISION}").status == 405
        assert stored(challenged) == before
        assert client.form(f"/{verb}", DECISION).status == 200
        assert stored(challenged) != before, "with a login it is possible"
        assert time.time() - now < 60


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_another_user_of_the_machine_changes_nothing(challenged: Deployment) -> None:
    attack = """
import sys, urllib.request, urllib.error
port, secret, body = sys.argv[1:]
try:
    open(secret)
except PermissionError:
    print("closed")
for verb in ("approve", "hold", "rollback"):
    for cookie in ("", f"pantheon-{port}=" + "A" * 32):
        headers = {"Origin": f"http://127.0.0.1:{port}", "Cookie": cookie}
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{verb}", body.encode(), headers))
        except urllib.error.HTTPError as error:
            print(error.code)
"""
    challenged.password.chmod(0o600)
    challenged.password.parent.chmod(0o700)
    with serving(challenged) as (_, client):
        before = stored(challenged)
        done = subprocess.run(
            ["/usr/bin/python3", "-c", attack, str(client.port), str(challenged.password), DECISION],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.split() == ["closed", *["401"] * 6], done.stderr
        assert stored(challenged) == before


def test_wrong_passwords_are_limited_but_links_still_work(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        anyone = Client(client.port)
        said = [anyone.form("/login", urlencode({"password": f"wrong {n}"})) for n in range(ATTEMPTS + 1)]
        assert [answer.status for answer in said] == [403] * ATTEMPTS + [429]
        assert "This is not the password." in said[0].text and 'aria-invalid="true"' in said[0].text
        assert "Too many wrong passwords" in said[-1].text
        assert 1 <= int(said[-1].headers["retry-after"]) <= 6
        assert anyone.form("/login", urlencode({"password": PASSWORD})).status == 429, "not even compared"
        assert opened(deployment, anyone).headers["location"] == "/"
        until(lambda: anyone.form("/login", urlencode({"password": f" {PASSWORD}\n"})).status == 303)
        again = [anyone.form("/login", urlencode({"password": PASSWORD})).status for _ in range(ATTEMPTS * 2)]
        assert set(again) <= {303, 429}


@pytest.mark.parametrize(
    ("body", "status"), [("", 403), ("password=", 403), ("password=%ff", 400), ("password=%00%F0%9F%98%80", 403)]
)
def test_an_unusual_password_is_only_wrong(deployment: Deployment, body: str, status: int) -> None:
    with serving(deployment) as (_, client):
        assert Client(client.port).form("/login", body).status == status


def test_without_a_password_file_nobody_can_log_in(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        url = urlsplit(deployment.link(client.port))
        deployment.password.unlink()
        anyone = Client(client.port)
        assert client.get("/runs.json").status == 401
        assert anyone.form("/login", "password=").status == 403
        assert anyone.get(f"{url.path}?{url.query}").headers["location"] == "/login?why=link"
        deployment.password.write_text("A new password.")
        assert client.get("/runs.json").status == 401, "a new password ends the sessions of the old one"
        assert anyone.form("/login", urlencode({"password": "A new password."})).status == 303


# logging in ----------------------------------------------------------------------------------------------------------


def test_a_link_works_once_and_leaves_no_token_in_an_address(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        anyone = Client(client.port)
        url = urlsplit(deployment.link(client.port))
        link = f"{url.path}?{url.query}"
        assert anyone("HEAD", link).status == 200, "a preview does not use it"
        first = anyone.get(link)
        assert (first.status, first.headers["location"], first.body) == (303, "/", b"")
        assert re.search(r"; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict$", first.headers["set-cookie"])
        assert first.headers["cache-control"] == "no-store"
        assert anyone.get("/runs.json", Cookie=cookie_of(first)).status == 200
        second = anyone.get(link)
        assert (second.status, second.headers["location"]) == (303, "/login?why=link")
        assert "set-cookie" not in second.headers
        assert "already used" in anyone.get("/login?why=link").text
        assert anyone.get(link, Cookie=cookie_of(first)).headers["location"] == "/", "who is logged in does not care"
        assert anyone.get("/login?token=%00x").headers["location"] == "/login?why=link"


def test_sessions_used_links_and_logouts_survive_a_restart(deployment: Deployment) -> None:
    with serving(deployment) as (_, client):
        link = urlsplit(deployment.link(client.port))
        path = f"{link.path}?{link.query}"
        kept = client.get(path, Cookie="")
        value = cookie_of(kept).partition("=")[2]
        ended = client.headers["Cookie"].partition("=")[2]
        assert (
            client.form("/logout", "").headers["set-cookie"].startswith(f"pantheon-{client.port}=; Path=/; Max-Age=0")
        )
    with serving(deployment) as (_, client):
        name = f"pantheon-{client.port}"
        anyone = Client(client.port)
        assert anyone.get("/runs.json", Cookie=f"{name}={value}").status == 200
        assert anyone.get("/runs.json", Cookie=f"{name}={ended}").status == 401
        assert anyone.get(path).headers["location"] == "/login?why=link"
        assert anyone.get("/runs.json", Cookie=f'_xsrf="2|;,"; other; {name}=x; {name}={value}').status == 200


def test_another_site_cannot_log_anyone_out(robots: Client) -> None:
    assert robots.form("/logout", "", Origin="https://evil.example").status == 403
    assert robots.get("/logout").status == 405
    assert robots.get("/runs.json").status == 200


def test_commands_send_a_token_of_their_own(robots: Client) -> None:
    token = tokens.sign(PASSWORD, "command", 60)
    assert Client(robots.port).get("/runs.json", Authorization=f"Bearer {token}").status == 200


def test_no_token_or_password_is_in_the_log(deployment: Deployment) -> None:
    from tests.parts.serving.test_process import process

    with process(deployment.folder) as (started, client):
        until(lambda: _answers(client))
        link = deployment.link(client.port)
        token = link.partition("token=")[2]
        url = urlsplit(link)
        answer = client.get(f"{url.path}?{url.query}")
        session = cookie_of(answer).partition("=")[2]
        client.get(f"{url.path}?{url.query}")
        client.form("/login", urlencode({"password": PASSWORD}))
        client.form("/login", urlencode({"password": f"{PASSWORD}x"}))
        seen = Path(f"/proc/{started.pid}/cmdline").read_text() + Path(f"/proc/{started.pid}/environ").read_text()
        started.terminate()
        _, log = started.communicate(timeout=60)
    assert "listening on" in log
    assert [word for word in (token, session, PASSWORD) if word in seen + log] == []


def _answers(client: Client) -> bool:
    try:
        return client.get("/healthz").status == 200
    except OSError:
        return False

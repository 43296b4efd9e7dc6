"""Logging in at a company's OIDC provider: a real one, with a registered client, runs in this process."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pantheon.deployment.deployment import Deployment
from pantheon.engines.compose.engine import ComposeEngine
from pantheon.errors import PantheonError
from pantheon.hub import people
from pantheon.hub.oidc import discovered
from pantheon.hub.settings import SECRET_FILE
from pantheon.tiers import find
from tests.support.hub import PAGE, Hub, Person
from tests.support.waiting import until


class Provider:
    """An OIDC provider whose users are given."""

    def __init__(self, port: int, callback: str) -> None:
        self.issuer = f"http://localhost:{port}"
        body = {"redirect_uris": [callback], "token_endpoint_auth_method": "client_secret_basic"}
        client = requests.post(f"{self.issuer}/oauth2/clients", json=body, timeout=60).json()
        self.client_id, self.client_secret = client["client_id"], client["client_secret"]

    def has(self, name: str, *groups: str) -> None:
        claims = {"preferred_username": name, "groups": list(groups)}
        assert requests.put(f"{self.issuer}/users/{name}", json=claims, timeout=60).ok

    def answer(self, person: Person, action: str = "allow") -> requests.Response:
        """Begin at JupyterHub, and answer the provider's question."""
        asked = person.get("/hub/oauth_login?next=")
        assert asked.url.startswith(f"{self.issuer}/oauth2/authorize?"), asked.url
        return person.session.post(asked.url, data={"sub": person.name, "action": action}, timeout=60)


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[Provider]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    import oidc_provider_mock

    with oidc_provider_mock.run_server_in_thread(require_client_registration=True) as server:
        made = Provider(server.server_port, f"{hub.url}/hub/oauth_callback")
        secret = hub.state / "secrets" / SECRET_FILE
        secret.parent.mkdir(mode=0o700, exist_ok=True)
        secret.write_text(made.client_secret)
        secret.chmod(0o600)
        hub.variables = {**hub.variables, "OIDC_ISSUER": made.issuer, "OIDC_CLIENT_ID": made.client_id}
        hub.up()  # restarts JupyterHub only
        yield made
        hub.variables = {name: value for name, value in hub.variables.items() if not name.startswith("OIDC_")}
        hub.up()


def profiles(person: Person) -> Any:
    return sorted(each for each in person.api("GET", "/user").json()["roles"] if each.startswith("profile-"))


def test_a_group_of_the_company_gives_a_role_and_losing_it_takes_it_away(hub: Hub, provider: Provider) -> None:
    people.add_profile(hub.state, "science")
    people.grant(hub.state, "science", "Data Science", "view", group=True)
    provider.has("grace", "Data Science", "Everybody")
    grace = Person(hub, "grace", "")
    assert provider.answer(grace).url == f"{hub.url}/hub/home"
    assert profiles(grace) == ["profile-science-view"]
    board = f"{hub.tensorboard}/science/data/runs"
    assert grace.get(board, headers=PAGE).status_code == 200
    people.grant(hub.state, "science", "Data Science", "edit", group=True)
    until(lambda: profiles(grace) == ["profile-science-edit"])
    people.grant(hub.state, "science", "Data Science", "", group=True)
    until(lambda: "/hub/login" in grace.get("/hub/home").url)


def test_a_person_has_the_roles_that_were_given_by_name(hub: Hub, provider: Provider) -> None:
    people.add(hub.state, "hopper", {"default": "edit"}, password=False)
    provider.has("hopper")
    hopper = Person(hub, "hopper", "")
    assert provider.answer(hopper).url == f"{hub.url}/hub/home"
    assert profiles(hopper) == ["profile-default-edit"]
    assert hopper.get(f"{hub.tensorboard}/science/", headers=PAGE).status_code == 403


def test_who_has_no_role_and_who_says_no_at_the_provider_is_not_let_in(hub: Hub, provider: Provider) -> None:
    provider.has("stranger", "Everybody")
    stranger = Person(hub, "stranger", "")
    refused = provider.answer(stranger)
    assert refused.status_code == 403
    assert stranger.api("GET", "/user").status_code == 403
    denied = provider.answer(Person(hub, "stranger", ""), "deny")
    assert denied.status_code in (400, 403), denied.text
    assert "Traceback" not in denied.text
    forged = Person(hub, "stranger", "").get("/hub/oauth_callback?code=x&state=y")
    assert forged.status_code in (400, 403)


def test_a_secret_that_the_provider_does_not_know_is_an_error_that_says_so(hub: Hub, provider: Provider) -> None:
    secret = hub.state / "secrets" / SECRET_FILE
    secret.write_text("not the secret")
    hub.variables = {**hub.variables, "OIDC_SCOPES": "openid profile"}  # the secret itself is read at the start
    hub.up()
    provider.has("grace")
    answer = provider.answer(Person(hub, "grace", ""))
    assert (answer.status_code, "checks OIDC_CLIENT_ID" in answer.text) == (502, True), answer.text


def test_the_secret_of_the_client_is_in_no_log(hub: Hub, provider: Provider) -> None:
    assert not [log.name for log in (hub.state / "logs").iterdir() if provider.client_secret in log.read_text()]


def test_what_is_no_provider_is_refused_with_the_reason(hub: Hub) -> None:
    with pytest.raises(PantheonError, match=re.escape(f"{hub.url} is not an OIDC provider")):
        discovered(hub.url, retry_seconds=0)


def test_in_containers_jupyterhub_gets_the_settings_and_alone_a_way_to_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path))

    def services() -> dict[str, Any]:
        engine = Deployment("company").engine(find("kraken"), "compose")
        assert isinstance(engine, ComposeEngine)
        return dict(engine.resolved().services)

    assert not [name for name, each in services().items() if "outside" in (each.get("networks") or {})]
    monkeypatch.setenv("OIDC_ISSUER", "https://login.example.com/realms/company")
    monkeypatch.setenv("OIDC_CLIENT_ID", "pantheon")
    found = services()
    assert [name for name, each in found.items() if "outside" in (each.get("networks") or {})] == ["hub"]
    given = found["hub"]["environment"]
    assert (given["OIDC_ISSUER"], given["OIDC_CLIENT_ID"]) == ("https://login.example.com/realms/company", "pantheon")
    assert "/run/secrets/oidc" in {entry["target"] for entry in found["hub"]["volumes"]}

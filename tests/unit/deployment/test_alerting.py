"""Where alerts go is kept as a secret, and whether they leave the machine decides about the monitor's network."""

import os
from pathlib import Path

import pytest

from pantheon.deployment import alerting, settings
from pantheon.deployment.deployment import Deployment
from pantheon.errors import PantheonError
from pantheon.tiers import find

URL = "https://hooks.example.com/services/secret-token"


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("PANTHEON_HOME", str(tmp_path / "home"))
    made = Deployment("made")
    made.make_folders()
    return made


def test_a_webhook_is_a_file_that_only_its_owner_reads_and_opens_the_network(deployment: Deployment) -> None:
    assert alerting.channels(deployment).names == ["file"]
    assert alerting.set_webhook(deployment, f" {URL}\n")
    file = deployment.state / "secrets" / "alerts" / "settings.json"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert alerting.channels(deployment).webhook == URL
    assert Deployment("made").variables() == {"MONITOR_NETWORK": "outside"}
    assert "secret-token" not in (deployment.state / "settings.json").read_text()
    assert not alerting.set_webhook(deployment, f"{URL}2"), "nothing changes for the network"
    assert alerting.set_webhook(deployment, "off")
    assert Deployment("made").variables() == {}


@pytest.mark.parametrize(
    "url", ["hooks.example.com/x", "ftp://example.com/x", "https://a b", "https://user:word@host/"]
)
def test_what_is_no_url_is_refused_without_repeating_it(deployment: Deployment, url: str) -> None:
    with pytest.raises(PantheonError) as error:
        alerting.set_webhook(deployment, url)
    assert url not in str(error.value)
    assert "https://" in error.value.cure


def test_the_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANTHEON_ALERT_WEBHOOK", URL)
    monkeypatch.setenv("ALERT_WEBHOOK", "other")
    assert alerting.from_environment() == URL
    assert not any("ALERT_WEBHOOK" in name for name in os.environ)
    assert alerting.from_environment() is None


def test_mail_has_the_usual_port_and_a_password_of_a_file(deployment: Deployment, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("moonlight\n")
    who = ("pantheon@example.com", "ops@example.com, lab@example.com")
    assert alerting.set_mail(deployment, "mail.example.com", *who, user="robot", password_file=str(word))
    mail = alerting.channels(deployment).mail
    assert mail
    assert (mail.port, mail.tls, mail.password, mail.to) == (587, "starttls", "moonlight", tuple(who[1].split(", ")))
    alerting.set_mail(deployment, "mail.example.com", *who, tls="tls")
    mail = alerting.channels(deployment).mail
    assert mail and mail.port == 465
    assert alerting.set_mail(deployment, "", "", "")
    assert alerting.channels(deployment).names == ["file"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sender": "nobody"}, "--from 'nobody' is not an address"),
        ({"to": ""}, "--to '' is not an address"),
        ({"to": "a@b.c,x"}, "--to 'x' is not an address"),
        ({"sender": "a@b.c\nBcc: x@y.z"}, "is not an address"),
        ({"tls": "yes"}, "--tls yes is not valid"),
        ({"host": "a b"}, "is not the name of a mail server"),
        ({"user": "robot"}, "--user needs a password"),
        ({"password_file": "/nowhere/word"}, "No such file"),
    ],
)
def test_mail_with_a_wrong_value_is_refused(deployment: Deployment, given: dict[str, str], said: str) -> None:
    usual = {"host": "mail.example.com", "sender": "a@b.c", "to": "d@e.f"}
    with pytest.raises(PantheonError, match=said):
        alerting.set_mail(deployment, **usual | given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "saved"),
    [("hourly", "@hourly"), ("daily", "@daily"), ("0 6 * * *", "0 6 * * *"), ("off", ""), ("@weekly", "@weekly")],
)
def test_when_the_monitor_runs_and_when_features_are_brought_online(text: str, saved: str) -> None:
    assert settings.monitor(text) == settings.materialize(text) == saved


def test_the_other_settings_of_the_monitor() -> None:
    assert [settings.retrain(text) for text in ("off", "auto", "7d", "12H")] == ["off", "", "7d", "12h"]
    assert [settings.monitor_report(text) for text in ("evidently", "none")] == ["evidently", ""]
    for parse, text in (
        (settings.retrain, "5m"),
        (settings.monitor, "often"),
        (settings.materialize, "rarely"),
        (settings.monitor_report, "pdf"),
    ):
        with pytest.raises(PantheonError, match=text):
            parse(text)


def test_evidently_is_left_out_until_it_is_asked_for(deployment: Deployment) -> None:
    tier = find("epimetheus")
    assert "evidently" in deployment.left_out(tier)
    assert "evidently" not in {each.name for each in deployment.components(tier)}
    deployment.update(monitor_report="evidently")
    assert "evidently" not in deployment.left_out(tier)
    assert "evidently" in {each.name for each in deployment.components(tier)}

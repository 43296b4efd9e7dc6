"""The page's login as ``up`` and ``status`` show it: a link on a terminal, the file with the password everywhere."""

import os
import pty
import re
import subprocess
from urllib.parse import urlsplit

from tests.support import ROOT
from tests.support.button import Client
from tests.support.command_line import Pantheon


def on_terminal(pantheon: Pantheon, *arguments: str) -> str:
    """What a command prints on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    command = [str(ROOT / "bin" / "pantheon"), *arguments]
    environment = pantheon.environment | {"COLUMNS": "80", "TERM": "xterm"}
    try:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=follower, stderr=subprocess.DEVNULL, check=True)
    finally:
        os.close(follower)
    said = b""
    while True:
        try:
            said += os.read(leader, 65536)
        except OSError:  # everything was read
            os.close(leader)
            return said.decode()


def link(said: str) -> str:
    (found,) = re.findall(r"^log in +(http://127\.0\.0\.1:\S+)\r?$", said, flags=re.M)
    url = urlsplit(found)
    return f"{url.path}?{url.query}"


def test_status_prints_a_link_on_a_terminal_and_no_token_elsewhere(persephone: Pantheon) -> None:
    said = on_terminal(persephone, "status")
    assert "works once, within 15 minutes" in said
    client = Client(8080 + persephone.offset)
    opened = client.get(link(said))
    assert (opened.status, opened.headers["location"]) == (303, "/")
    assert 'id="runs"' in client.get("/", Cookie=opened.headers["set-cookie"].split(";")[0]).text
    elsewhere = [persephone("status").out, persephone("status", "--json").out, persephone("up", "persephone").out]
    assert all("secrets/button/password" in text for text in elsewhere)
    assert not any("token=" in re.sub(r'"link": "[^"]*"', "", text) for text in elsewhere)


def test_a_missing_password_is_made_by_up_and_a_new_one_ends_all_logins(persephone: Pantheon) -> None:
    client, file = Client(8080 + persephone.offset), persephone.state / "secrets" / "button" / "password"
    before = file.read_text()
    cookie = client.get(link(on_terminal(persephone, "status"))).headers["set-cookie"].split(";")[0]
    assert client.get("/runs.json", Cookie=cookie).status == 200
    file.unlink()
    assert client.get("/runs.json", Cookie=cookie).status == 401
    assert persephone("runs", "--json").json, "without the page, a task answers"
    started = persephone("status", "--json").json["services"][0]["uptime_seconds"]
    persephone("up", "persephone")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() != before
    assert persephone("status", "--json").json["services"][0]["uptime_seconds"] >= started, "without a restart"
    assert client.get("/runs.json", Cookie=cookie).status == 401
    assert client.get(link(on_terminal(persephone, "status"))).headers["location"] == "/"

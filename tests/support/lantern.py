"""A made-up component in a folder of its own, as somebody who adds one would write it; see docs/components.md."""

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from tests.support import ROOT
from tests.support.command_line import Pantheon

TIERS = Path(__file__).parent / "lantern_component" / "tiers"


def get(address: str, token: str = "") -> int:
    """The status of the answer to a request with this token."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def prove(made: Pantheon, engine: str) -> None:
    """The whole life of the component on one engine, through the command line."""
    made("up", "persephone", "--engine", engine, "--no-run", timeout=600)
    grown = made("up", "lantern", "--no-run", timeout=600)
    assert "adds    lantern" in grown.err and "1,000 MB → 1,064 MB" in grown.err
    found = made("status", "--json").json
    (service,) = [each for each in found["services"] if each["name"] == "lantern"]
    assert service["state"] == "healthy"
    login = found["logins"]["lantern"]
    assert (login["title"], login["who"]) == ("Lantern", "token")
    file = Path(login["file"])
    assert file.stat().st_mode & 0o777 == 0o600
    token = file.read_text()
    assert get(service["address"]) == 401
    assert get(service["address"], token) == 200
    assert f"Lantern   {service['address']}  (token: cat " in made("status").out
    looked = {each["what"]: each["found"] for each in made("doctor", "lantern", "--json", check=False).json}
    assert "1,064 MB needed" in looked["memory"]
    made("up", "lantern", "--without", "lantern", "--no-run")
    left = made("status", "--json").json
    assert "lantern" not in left["logins"]
    assert all(each["name"] != "lantern" or each["state"] == "stopped" for each in left["services"])
    made("up", "lantern", "--without", "none", "--no-run")
    assert get(service["address"], token) == 200, "the secret stays the same"
    assert subprocess.run(["git", "grep", "-il", "lantern", "--", "pantheon", "serving"], cwd=ROOT).returncode == 1

"""A deployment of the release before: its settings and what services wrote back were in ``state/``."""

import json
from pathlib import Path
from urllib.request import urlopen

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon


def to_old_layout(state: Path) -> None:
    """The folder as the release before left it."""
    settings = json.loads((state / "settings.json").read_text())
    del settings["version"]
    settings |= {"s3": {}, "extra": {}}
    (state / "state" / "deployment.json").write_text(json.dumps(settings))
    for name in ("settings.json", "settings.json.bak"):
        (state / name).unlink()
    (state / "state" / "serving.json").write_text('{"model": "robots"}')
    for path in (state / "shared").iterdir():
        path.unlink()
    (state / "shared").rmdir()
    for name in (".store.gate", ".store.lock"):
        (state / "state" / name).touch()
    state.chmod(0o755)


def served(pantheon: Pantheon) -> tuple[str, str]:
    with urlopen(f"{pantheon.page}/healthz", timeout=5) as answer:
        found = json.load(answer)
    return found["model"], found["version"]


def test_up_migrates_a_deployment_that_runs_and_loses_nothing(tmp_path: Path) -> None:
    pantheon = make_pantheon(tmp_path, TRIALS="1", APPROVAL="required")
    pantheon("up", "persephone")
    pantheon("approve")
    before, runs = pantheon("status", "--json").json, pantheon("runs", "--json").json
    to_old_layout(pantheon.state)
    try:
        assert pantheon("runs", "--json").json == runs, "any command migrates"
        assert served(pantheon) == ("robots", "1")
        assert pantheon.state.stat().st_mode & 0o777 == 0o700
        pantheon("up", "persephone")
        after = pantheon("status", "--json").json
        for key in ("name", "tier", "engine", "dataset", "model", "page"):
            assert after[key] == before[key]
        settings = json.loads((pantheon.state / "settings.json").read_text())
        assert (settings["approval"], settings["trials"]) == ("required", 1)
        assert served(pantheon) == ("robots", "1")
        pantheon("down")
        pantheon("up", "persephone")
        assert served(pantheon) == ("robots", "1")
        assert sorted(path.name for path in (pantheon.state / "state").iterdir()) == [
            "deployment.json",
            "services.json",
        ]
        assert not (pantheon.state / ".migrating").exists()
    finally:
        pantheon("down")
    assert_nothing_left(tmp_path)

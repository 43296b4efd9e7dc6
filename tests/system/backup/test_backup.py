"""A deployment that was backed up while it ran, deleted and restored is the same, as in Sentry's test of its backup."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.climb import Load, checksums, judge, versions
from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon
from tests.support.moving import shown
from tests.support.ports import free_port_offset

pytestmark = [pytest.mark.timeout(1800), pytest.mark.long]

TIERS = ["zeus", "odysseus", "kraken"]


def seen(made: Pantheon) -> dict[str, Any]:
    """What its people see, and every file of data, runs and notebooks."""
    return shown(made, made.state) | {"versions": versions(made), "files": checksums(made.state)}


def last_tier(made: Pantheon) -> dict[str, Any]:
    """What only the last tier has."""
    return {
        "users": made("users", "list", "--json").json,
        "predictions": made("predictions", "--json").json,
        "features": made("features", "list", "--json").json,
        "keys": made("keys", "list", "--json").json,
    }


def words(made: Pantheon) -> set[bytes]:
    """Every generated word of the secrets, also inside of JSON and settings."""
    files = [path for path in (made.state / "secrets").rglob("*") if path.is_file()]
    return {word.encode() for path in files for word in re.findall(r"[A-Za-z0-9_=-]{40,}", path.read_text())}


@pytest.mark.parametrize("tier", TIERS)
def test_a_restored_deployment_is_the_same(tmp_path: Path, tier: str) -> None:
    made = make_pantheon(tmp_path / "home", TRIALS="1", PASSPHRASE_FILE=str(tmp_path / "passphrase"))
    (tmp_path / "passphrase").write_text("correct horse battery staple\n")
    file, later = tmp_path / "monday.zip", tmp_path / "tuesday.zip"
    again = made
    try:
        made("up", tier, timeout=900)
        (made.state / "notebooks" / "mine.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
        made("run", "--data", "wine", timeout=600)
        if tier == "kraken":
            judge(made)
            made("users", "add", "ann", "--json")
            made("keys", "add", "somebody")
        with Load(made.page) as load:
            made("backup", str(file))
        assert load.lost == [], "nothing was stopped"
        before, more = seen(made), last_tier(made) if tier == "kraken" else {}
        with zipfile.ZipFile(file) as saved:
            for name in saved.namelist():
                content = saved.read(name)
                assert not [word for word in words(made) if word in content], f"{name} shows a secret"
        done = made("backup", str(later), "--base", str(file), "--json").json
        assert done["unchanged"] > done["files"] / 2
        assert later.stat().st_size < file.stat().st_size / 2
        made("destroy", "--confirm", "yes")
        assert not made.state.exists()

        again = replace(made, offset=free_port_offset())
        again("restore", str(later), timeout=900)
        assert seen(again) == before
        assert (last_tier(again) if more else {}) == more
        refused = again("restore", str(later), check=False)
        assert "exists. Choose another name: NAME=…" in refused.message
        again("test", timeout=300)
        again("run", "--data", "wine", timeout=600)
    finally:
        if made.state.exists():
            again("down")
    assert_nothing_left(made.home)

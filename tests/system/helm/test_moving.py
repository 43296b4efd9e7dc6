"""A deployment moves from this machine to the cluster and back, and is the same."""

import json
from dataclasses import replace
from pathlib import Path

from tests.support.climb import Load, checksums
from tests.support.command_line import Pantheon
from tests.support.kubernetes import Clustered
from tests.support.moving import shown
from tests.support.ports import free_port_offset

MINE = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def named(there: Pantheon, name: str) -> Pantheon:
    """A deployment of processes beside that in the cluster."""
    return replace(
        there,
        offset=free_port_offset(),
        settings={**there.settings, "PANTHEON_ENGINE": "local", "PANTHEON_NAME": name},
    )


def test_there_and_back(deployment: Clustered, tmp_path: Path) -> None:
    there, home = deployment.pantheon, deployment.pantheon.home
    there.settings["PANTHEON_PASSPHRASE_FILE"] = str(tmp_path / "passphrase")
    (tmp_path / "passphrase").write_text("correct horse battery staple\n")
    here, back = named(there, "here"), named(there, "back")
    to_cluster, to_machine = tmp_path / "there.zip", tmp_path / "back.zip"
    try:
        here("up", "zeus", "--trials", "1", timeout=1500)
        (home / "here" / "notebooks" / "mine.ipynb").write_text(json.dumps(MINE))
        before, files = shown(here, home / "here"), checksums(home / "here")
        refused = here("up", "zeus", "--engine", "helm", check=False).message
        assert "Make a copy there: `make tier-zeus backup FILE=here.zip NAME=here`, then" in refused
        with Load(here.page) as load:
            here("backup", str(to_cluster))
        assert load.lost == [], "nothing was stopped"
        here("down")

        there("restore", str(to_cluster), timeout=2400)
        assert shown(there, deployment.state) == before
        assert "exists. Choose another name" in there("restore", str(to_cluster), check=False).message
        with Load(there.page) as load:
            there("backup", str(to_machine), timeout=900)
        assert load.lost == [], "nothing was stopped"

        back("restore", str(to_machine), "--confirm", "yes", timeout=900)
        assert shown(back, home / "back") == before
        assert checksums(home / "back") == files, "every file of data, runs, models and notebooks"
        there("run", timeout=2400)
        assert len(there("runs", "--json").json) == 2, "it works on"
        assert len(back("runs", "--json").json) == 1
    finally:
        here("down", check=False)
        back("down", check=False)

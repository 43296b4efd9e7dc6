"""Damaged files of the deployment: each command works or names the file in one line, and the remedy works.

More kinds of damage: ``tests/unit/state`` and ``tests/parts/engines/test_damaged_files.py``.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Pantheon, assert_nothing_left, make_pantheon

DAMAGE: dict[str, bytes | None] = {
    "truncated": b'{"tier": "persephone", "rou',
    "wrong types": b'{"tier": 4, "services": {}, "model": [], "bucket": 1, "version": "x"}',
    "a folder": None,
}
COMMANDS = (["status"], ["runs"], ["logs", "--tail", "1"], ["down"], ["up", "--no-run"])
DERIVED = ("state/deployment.json", "state/store.json", "state/services.json", "shared/serving.json")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pantheon]:
    made = make_pantheon(tmp_path_factory.mktemp("damaged"))
    made("up", "persephone", "--no-run")
    yield made
    made("down")
    assert_nothing_left(made.home)


def damage(path: Path, how: str) -> None:
    path.unlink(missing_ok=True)
    content = DAMAGE[how]
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_settings_are_restored_from_their_copy_and_the_command_says_so(small: Pantheon, how: str) -> None:
    damage(small.state / "settings.json", how)
    answer = small("status")
    (said,) = answer.err.splitlines()
    assert re.search(
        r"settings\.json is damaged: .* It was written again from its last good copy, settings\.json\.bak\.", said
    )
    assert small("status").err == ""


@pytest.mark.parametrize("how", ["truncated"])
def test_settings_without_a_good_copy_are_named_and_the_remedy_works(small: Pantheon, how: str) -> None:
    for name in ("settings.json", "settings.json.bak"):
        damage(small.state / name, how)
    for command in COMMANDS:
        answer = small(*command, check=False)
        assert answer.status == 1
        assert f"{small.state}/settings.json is damaged: " in answer.message
    remedy = re.search(r"`mv ([^`]*) /tmp`", answer.message)
    assert remedy
    away = small.home / "away"
    away.mkdir()
    subprocess.run(["mv", *remedy[1].split(), away], check=True)
    small("up", "--no-run")
    assert small("status").err == ""
    shutil.rmtree(away)


@pytest.mark.parametrize("how", DAMAGE)
def test_derived_files_are_written_again(small: Pantheon, how: str) -> None:
    for command in COMMANDS:
        for file in DERIVED:
            if not (small.state / file).is_dir():
                damage(small.state / file, how)
        answer = small(*command, check=False)
        if answer.status:
            assert command == ["runs"]
            assert "store.json is damaged: " in answer.message
            assert "`make tier-persephone up`" in answer.message
    small("runs")
    status = small("status")
    assert "is damaged" not in status.out + status.err
    assert "healthy" in status.out

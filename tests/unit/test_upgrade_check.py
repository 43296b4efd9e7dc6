"""``make upgrade-check`` notices what an upgrade loses."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import upgrade_check

HAS: dict[str, dict[str, Any]] = {
    "answers": {"to row": [0, [0.9, 0.1]]},
    "models": {"1": {"aliases": ["champion"], "run": "r1"}},
    "runs": {"r1": {"state": "done"}},
    "files": {"models/robots/1/model.onnx": "ab"},
}


def test_something_new_is_no_loss() -> None:
    after = {**HAS, "runs": {**HAS["runs"], "r2": {"state": "done"}}}
    assert not any(upgrade_check.lost(HAS, after).values())


@pytest.mark.parametrize("kind", list(HAS))
@pytest.mark.parametrize("change", ["gone", "another"])
def test_what_is_gone_or_has_changed_is_named(kind: str, change: str) -> None:
    after = {**HAS, kind: {} if change == "gone" else dict.fromkeys(HAS[kind], "another")}
    found = upgrade_check.lost(HAS, after)
    assert {name for name, lost in found.items() if lost} == {kind}
    assert found[kind] == list(HAS[kind])


def test_files_that_people_wrote_and_secrets_are_compared_and_shipped_notebooks_are_not(tmp_path: Path) -> None:
    for name in (*upgrade_check.OWN, "notebooks/1_features.ipynb", "secrets/key", "models/robots/1/x", "runs/r/.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    assert set(upgrade_check.checksums(tmp_path)) == {*upgrade_check.OWN, "secrets/key", "models/robots/1/x"}


def test_settings_are_compared_without_the_release_that_wrote_them(tmp_path: Path) -> None:
    assert upgrade_check.settings(tmp_path) == {}
    written = {"tier": "zeus", "seed": 7, "version": 2, "pantheon": "0.1.0"}
    (tmp_path / "settings.json").write_text(json.dumps(written))
    assert upgrade_check.settings(tmp_path) == {"tier": "zeus", "seed": 7}

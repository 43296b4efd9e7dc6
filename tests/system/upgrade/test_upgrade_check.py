"""``make upgrade-check``: which version it starts from, and one whole upgrade."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from benchmarks import upgrade_check
from pantheon.errors import PantheonError
from tests.support import ROOT


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.check_output(["git", *author, *words], cwd=folder, text=True).strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    return tmp_path


def test_it_starts_from_the_oldest_tag_or_the_oldest_release_of_the_changelog(repository: Path) -> None:
    with pytest.raises(PantheonError, match="There is no release to upgrade from") as error:
        upgrade_check.oldest(repository)
    assert "FROM=" in error.value.cure
    releases = "## 0.2.0 (2027-01-10, 89abcdef01)\n\n## 0.1.0 (2026-12-01, 0123456789)\n"
    (repository / "CHANGELOG.md").write_text(f"# Changelog\n\n## Unreleased\n\n{releases}")
    assert upgrade_check.oldest(repository) == "0123456789"
    git(repository, "tag", "v0.1.0")
    git(repository, "tag", "other")
    assert upgrade_check.oldest(repository) == "v0.1.0"


def test_a_revision_that_does_not_exist_is_refused() -> None:
    done = subprocess.run(
        ["make", "-s", "upgrade-check", "FROM=no-such-release"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert (
        "FROM=no-such-release is not a revision of this repository. `git tag` and `git log` list them." in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_deployment_of_the_last_commit_comes_up_with_all_it_has() -> None:
    done = subprocess.run(
        ["make", "-s", "tier-persephone", "upgrade-check", "FROM=HEAD"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PANTHEON_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 7, done.stdout
    assert not list(Path(tempfile.gettempdir()).glob("pantheon-upgrade-*"))

"""Every command in the README and the tier READMEs, run in order in a fresh clone."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pantheon.tiers import all_tiers
from tests.conftest import ROOT, assert_nothing_left, make_pantheon

pytestmark = pytest.mark.slow

# Run elsewhere: by CI (which is how this test runs), or too long for a test.
ELSEWHERE = {"make test", "make check", "make bench"}


def commands(page: Path, kind: str = "sh") -> list[str]:
    """The lines of a page's ``sh`` blocks; those marked ``sh docker`` are run by tests/compose."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed and not yet committed, with the environments of this one."""
    folder = tmp_path_factory.mktemp("fresh") / "pantheon"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    changed = subprocess.check_output(
        ["git", "ls-files", "-mo", "--exclude-standard"], cwd=ROOT, text=True
    ).splitlines()
    for name in changed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
            (folder / name).chmod((ROOT / name).stat().st_mode)
    (folder / ".pantheon").mkdir()
    for shared in ("envs", "uv"):
        (folder / ".pantheon" / shared).symlink_to(ROOT / ".pantheon" / shared)
    return folder


PAGES = [Path("README.md"), *[t.folder.relative_to(ROOT) / "README.md" for t in all_tiers() if t.built]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_the_page_works(clone: Path, page: Path) -> None:
    lines = commands(ROOT / page)
    assert lines
    made = make_pantheon(clone / ".pantheon")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
    environment = clean | {"PANTHEON_PORT_OFFSET": str(made.offset), "PANTHEON_TRIALS": "2", "PANTHEON_ENGINE": "local"}
    try:
        for line in lines:
            if line in ELSEWHERE:
                continue
            moved = line.replace("127.0.0.1:8080", f"127.0.0.1:{8080 + made.offset}")
            done = subprocess.run(
                ["bash", "-euc", moved],
                cwd=clone,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
    finally:
        subprocess.run(
            ["make", "-s", "tier-persephone", "down"], cwd=clone, env=environment, capture_output=True, check=False
        )
    assert_nothing_left(clone)

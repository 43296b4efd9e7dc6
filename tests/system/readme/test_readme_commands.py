"""Every command in the README, the tier READMEs and docs/operating.md, run in order in a fresh clone."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pantheon.tiers import all_tiers
from tests.support import ROOT
from tests.support.command_line import assert_nothing_left, make_pantheon
from tests.support.readme import commands

# Run elsewhere: by CI (which is how this test runs), or too long for a test.
ELSEWHERE = {"make test", "make test-all", "make check", "make bench"}
TIERS = [t.folder.relative_to(ROOT) / "README.md" for t in all_tiers() if t.built]
PAGES = [
    Path("README.md"),
    *TIERS,
    Path("docs/operating.md"),
]  # the last at the last tier, so that everything is in the backup
# The pages between have nearly the same commands as their neighbours, and each takes minutes.
LONG = TIERS[1:-1]


@dataclass(frozen=True)
class Reader:
    """A clone, and what its commands see."""

    clone: Path
    offset: int
    environment: dict[str, str]

    def do(self, line: str) -> subprocess.CompletedProcess[str]:
        moved = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: str(int(port[0]) + self.offset), line)
        return subprocess.run(
            ["bash", "-euc", moved],
            cwd=self.clone,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A clone of what is committed and not yet committed, with the environments of this one.

    The deployment stays up from page to page: it grows, as a reader's does.
    """
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
    offset = make_pantheon(folder / ".pantheon").offset
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PANTHEON_")}
    given = {"PANTHEON_PORT_OFFSET": str(offset), "PANTHEON_TRIALS": "1", "PANTHEON_ENGINE": "local"}
    made = Reader(folder, offset, clean | given)
    yield made
    made.do("make -s down")  # at whatever tier the last page left it
    assert_nothing_left(folder)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.long] * (page in LONG), id=str(page)) for page in PAGES]
)
def test_every_command_of_the_page_works(reader: Reader, page: Path) -> None:
    lines = commands(ROOT / page)
    assert lines
    for line in lines:
        if line not in ELSEWHERE:
            done = reader.do(line)
            assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"

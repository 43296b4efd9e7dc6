"""The notebooks as they lie in git: valid, without outputs, and calling every stage that is theirs."""

import subprocess

from pantheon.engines.local import environments
from tests.support import ROOT

FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_all_are_valid_notebooks() -> None:
    environments.make(["jupyter"])
    check = "import nbformat, sys; [nbformat.validate(nbformat.read(path, 4)) for path in sys.argv[1:]]"
    python = str(environments.folder_of("jupyter") / "bin" / "python")
    done = subprocess.run(
        [python, "-W", "error", "-c", check, *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

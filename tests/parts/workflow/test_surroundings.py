"""A file is taken whatever its path is called, with a plain locale, few open files and a strict umask."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.worker import reported

ROWS = "größe,y\n" + "".join(f"{n % 50}.5,{'yes' if n % 3 else 'no'}\n" for n in range(200))


def test_a_file_with_an_odd_path_is_taken_in_plain_surroundings(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "a \"b\" 'c' $d" / "Größe 1.csv"
    state.mkdir()
    file.parent.mkdir()
    file.write_text(ROWS, encoding="utf-8")
    size = ["--size", str(file.stat().st_size), "--modified", "1000"]
    given = ["dataset", "--file", file.name, "--path", str(file), "--called", str(file), "--target", "y", *size]
    limits = 'umask 077; ulimit -n 64; LC_ALL=C exec "$@"'
    with file.open("rb") as content:
        done = subprocess.run(
            ["sh", "-c", limits, "sh", sys.executable, "-P", "-m", "pantheon.worker", *given],
            env={"STATE_DIR": str(state), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/proc/nowhere"},
            cwd=ROOT,
            stdin=content,
            capture_output=True,
            text=True,
            check=True,
        )
    (event,) = reported(done.stdout)
    assert (event["name"], [column["name"] for column in event["columns"]]) == ("gr-e-1", ["größe", "y"])
    assert json.loads((state / "data" / ".origin" / "gr-e-1.json").read_text(encoding="utf-8"))["path"] == str(file)
    assert (state / "data" / "gr-e-1.toml").stat().st_mode & 0o777 == 0o600

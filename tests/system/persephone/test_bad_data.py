"""Bad input gives a one-line error with a remedy and exit status 2, and leaves no partial files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import Pantheon

ROWS = "".join(f"{i % 7},{i % 3},{'yes' if i % 2 else 'no'}\n" for i in range(200))


def write(text: str | bytes) -> Callable[[Path], None]:
    def to(path: Path) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return to


CASES = {
    "a missing file": (None, "y", "does not exist"),
    "an empty file": (write(""), "y", "is empty"),
    "a header without rows": (write("a,b,y\n"), "y", ""),
    "a folder": (lambda path: path.mkdir(), "y", "is a folder"),
    "a binary file": (write(bytes(range(256)) * 40), "y", ""),
    "ragged rows": (write("a,b,y\n" + ROWS + "1,2,3,4,5\n" + ROWS), "y", "2"),
    "duplicate column names": (write("a,a,y\n" + ROWS), "y", "'a'"),
    "an absent target": (write("a,b,churned\n" + ROWS), "churnd", "churned"),
    "no target named": (write("a,b,y\n" + ROWS), "", "TARGET"),
    "a target with one class": (write("a,b,y\n" + ROWS.replace("yes", "no")), "y", "y"),
    "a target that is all missing": (write("a,b,y\n" + ROWS.replace("yes", "").replace("no", "")), "y", "y"),
    "too few rows": (write("a,b,y\n1,2,yes\n1,3,no\n1,2,yes\n4,2,no\n"), "y", "rows"),
    "a column of another type in the middle": (
        write(
            "a,b,y\n"
            + ROWS * 30
            + "".join(f"wrong,{i % 3},{'yes' if i % 2 else 'no'}\n" for i in range(3000))
            + ROWS * 30
        ),
        "y",
        "'a'",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name in CASES])
def test_bad_data_is_rejected_with_cause_and_cure_and_changes_nothing(
    persephone: Pantheon, tmp_path: Path, case: str
) -> None:
    make, target, says = CASES[case]
    file = tmp_path / "mine.csv"
    if make:
        make(file)
    before = {path: path.read_bytes() for path in (persephone.state / "models").rglob("*") if path.is_file()}
    answer = persephone("run", "--data", str(file), "--target", target, check=False)
    assert answer.status == 2, answer.err
    assert says in answer.message
    assert answer.message.count(". ") + answer.message.count("? ") >= 1, f"cause and way out: {answer.message}"
    assert not list(persephone.state.rglob(".*.part")), "nothing half-written"
    after = {path: path.read_bytes() for path in (persephone.state / "models").rglob("*") if path.is_file()}
    assert before == after, "the deployed model is untouched"
    (persephone.state / "data" / "mine.toml").unlink(missing_ok=True)

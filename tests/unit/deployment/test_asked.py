"""What ``run`` and ``up`` are asked for is checked before anything is copied."""

from pathlib import Path
from typing import Any, cast

import pytest

from pantheon.deployment.datasets import Asked, check, check_file
from pantheon.errors import PantheonError

NONE = cast(Any, None)  # no deployment is asked


@pytest.mark.parametrize(
    ("asked", "cause", "cure"),
    [
        (Asked(target="y"), "TARGET=y needs DATA=.", "Add the file: DATA=your.csv TARGET=y"),
        (Asked(header="none"), "HEADER=none needs DATA=.", "Add the file: DATA=your.csv TARGET=column HEADER=none"),
        (Asked("robots", dataset="mine"), "DATASET=mine needs DATA=.", "DATA=your.csv TARGET=column DATASET=mine"),
        (Asked("t.csv", header="no"), "HEADER=no is not valid.", "Use HEADER=none"),
        (Asked("t.csv", infer="yes"), "INFER=yes is not valid.", "Use INFER=again"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(asked: Asked, cause: str, cure: str) -> None:
    with pytest.raises(PantheonError) as error:
        check(NONE, NONE, asked)
    assert error.value.cause == cause
    assert cure in error.value.cure


def test_a_path_with_a_line_break_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a\nb.csv"
    file.write_text("a,y\n1,2\n")
    with pytest.raises(PantheonError, match="has a line break") as error:
        check_file(file, str(file))
    assert "\n" not in str(error.value)

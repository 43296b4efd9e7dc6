"""The notebooks as they lie in git: valid, without outputs, and calling every stage that is theirs."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pantheon.cli import envs
from pantheon.jupyter_jobs import NOTEBOOKS, PYCARET, STAGES, graph_of, stages_of
from pantheon.workflow.graph import GRAPH
from tests.conftest import ROOT

OURS = graph_of({"models": "s3"}) | PYCARET
FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(path, "code"))


@each
def test_is_kept_without_what_running_leaves(path: Path) -> None:
    book = json.loads(path.read_text())
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert book["metadata"]["kernelspec"]["name"] == ("pantheon-pycaret" if path.stem in PYCARET else "pantheon")
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text())


@pytest.mark.slow
def test_all_are_valid_notebooks() -> None:
    envs.make(["jupyter"])
    check = "import nbformat, sys; [nbformat.validate(nbformat.read(path, 4)) for path in sys.argv[1:]]"
    python = str(envs.folder_of("jupyter") / "bin" / "python")
    done = subprocess.run(
        [python, "-W", "error", "-c", check, *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@each
def test_cells_are_short_and_begin_with_words(path: Path) -> None:
    assert cells(path, "markdown")[0]["source"][0].startswith("# ")
    for cell in cells(path, "code"):
        assert len(cell["source"]) <= 24, cell["source"][0]


@each
def test_has_one_cell_of_parameters_that_are_plain_values(path: Path) -> None:
    marked = [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]
    assert len(marked) == 1
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse("".join(marked[0]["source"])).body}  # type: ignore[attr-defined]
    if path.stem in OURS:
        assert values["RUN"] == "latest"
    assert values.get("DEPLOY", False) is False, "nobody publishes by running all cells"


def test_each_stage_after_the_etl_is_in_one_notebook() -> None:
    assert {path.stem for path in FILES} == {*OURS, "start_here"}
    for name in OURS:
        called = re.findall(r'(?:notebook|pycaret)\.stage\(run, "(\w+)"', source(ROOT / "notebooks" / f"{name}.ipynb"))
        assert tuple(called) == stages_of(name)
    after = sorted(set(GRAPH) - {"load_data", "clean_data", "split_data", "preprocess", "deploy"})
    for graph in (NOTEBOOKS, PYCARET):
        assert sorted(stage for name in graph for stage in stages_of(name)) == after


def test_notebooks_wait_for_what_their_stages_wait_for() -> None:
    of = {stage: name for name, stages in STAGES.items() for stage in stages}
    for name, needs in NOTEBOOKS.items():
        wanted = {of[need] for stage in STAGES[name] for need in GRAPH[stage] if need in of} - {name}
        assert wanted == set(needs)


@each
def test_starts_with_nothing_numeric(path: Path) -> None:
    """The first import fixes the threads: numeric libraries take their number when they are imported."""
    imports = re.findall(r"^(?:from|import) (\w+)", source(path), re.MULTILINE)
    assert imports[0] == "pantheon"

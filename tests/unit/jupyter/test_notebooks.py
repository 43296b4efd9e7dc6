"""The notebooks in git are valid, have no outputs, and call all their stages."""

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pantheon.jupyter.graph import graph_of, stages_of
from pantheon.state import Route
from pantheon.workflow.graph import GRAPH
from tests.support import ROOT

NOTEBOOKS = graph_of(Route(rest="jupyter"))
PYCARET = graph_of(Route(rest="pycaret"))
OURS = graph_of(Route(models="s3")) | PYCARET


FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))


each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells(path, "code"))


@each
def test_has_no_outputs_and_no_execution_counts(path: Path) -> None:
    book = json.loads(path.read_text())
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert book["metadata"]["kernelspec"]["name"] == ("pantheon-pycaret" if path.stem in PYCARET else "pantheon")
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text())


@each
def test_starts_with_a_heading_and_has_short_cells(path: Path) -> None:
    assert cells(path, "markdown")[0]["source"][0].startswith("# ")
    for cell in cells(path, "code"):
        assert len(cell["source"]) <= 24, cell["source"][0]


@each
def test_has_one_parameters_cell_with_literal_values(path: Path) -> None:
    marked = [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]
    assert len(marked) == 1
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse("".join(marked[0]["source"])).body}  # type: ignore[attr-defined]
    if path.stem in OURS:
        assert values["RUN"] == "latest"
    assert values.get("DEPLOY", False) is False, "running all cells must not deploy"


def test_every_stage_after_the_etl_is_in_exactly_one_notebook() -> None:
    assert {path.stem for path in FILES} == {*OURS, "start_here"}
    for name in OURS:
        called = re.findall(r'(?:notebook|pycaret)\.stage\(run, "(\w+)"', source(ROOT / "notebooks" / f"{name}.ipynb"))
        assert tuple(called) == stages_of(name)
    after = sorted(set(GRAPH) - {"load_data", "clean_data", "split_data", "preprocess", "deploy"})
    for graph in (NOTEBOOKS, PYCARET):
        assert sorted(stage for name in graph for stage in stages_of(name)) == after


def test_notebooks_have_the_dependencies_of_their_stages() -> None:
    of = {stage: name for name in NOTEBOOKS for stage in stages_of(name)}
    for name, needs in NOTEBOOKS.items():
        wanted = {of[need] for stage in stages_of(name) for need in GRAPH[stage] if need in of} - {name}
        assert wanted == set(needs)


@each
def test_imports_pantheon_before_numeric_libraries(path: Path) -> None:
    """The first import sets the number of threads, which numeric libraries read when they are imported."""
    imports = re.findall(r"^(?:from|import) (\w+)", source(path), re.MULTILINE)
    assert imports[0] == "pantheon"


@each
def test_imports_only_existing_names(path: Path) -> None:
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pantheon"):
            module = importlib.import_module(str(node.module))
            missing = [
                alias.name
                for alias in node.names
                if not hasattr(module, alias.name) and not importlib.util.find_spec(f"{node.module}.{alias.name}")
            ]
            assert missing == [], f"from {node.module}"

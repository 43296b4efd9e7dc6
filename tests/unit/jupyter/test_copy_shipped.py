"""Shipped notebooks in a deployment: new ones are added, unchanged ones updated, the user's changes kept."""

import json
from pathlib import Path

import pytest

from pantheon.jupyter.notebooks import copy_shipped
from pantheon.state import Route


def book(path: Path, *sources: str, outputs: bool = False) -> None:
    output = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}] if outputs else []
    cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": output,
            "execution_count": 3 if outputs else None,
        }
        for source in sources
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    book(folder / "train.ipynb", "one")
    book(folder / "evaluate.ipynb", "one")
    return folder


@pytest.fixture
def state(tmp_path: Path, shipped: Path) -> Path:
    assert copy_shipped(tmp_path / "state", shipped).added == ["evaluate.ipynb", "train.ipynb"]
    return tmp_path / "state"


def test_copying_notebooks_again_changes_nothing(state: Path, shipped: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (state / "notebooks").iterdir() if path.is_file()}
    result = copy_shipped(state, shipped)
    assert (result.added, result.updated, result.kept) == ([], [], [])
    assert before == {path: path.stat().st_mtime_ns for path in (state / "notebooks").iterdir() if path.is_file()}


def test_an_unchanged_notebook_is_updated_even_after_it_was_run(state: Path, shipped: Path) -> None:
    book(state / "notebooks" / "evaluate.ipynb", "one", outputs=True)
    for name in ("train", "evaluate"):
        book(shipped / f"{name}.ipynb", "two")
    assert copy_shipped(state, shipped).updated == ["evaluate.ipynb", "train.ipynb"]
    for name in ("train.ipynb", "evaluate.ipynb"):
        assert (state / "notebooks" / name).read_bytes() == (shipped / name).read_bytes()


def test_outputs_are_kept_if_there_is_no_new_version(state: Path, shipped: Path) -> None:
    book(state / "notebooks" / "train.ipynb", "one", outputs=True)
    assert copy_shipped(state, shipped).updated == []
    assert "hello" in (state / "notebooks" / "train.ipynb").read_text()


def test_changes_of_the_user_are_never_overwritten_and_reported_once(state: Path, shipped: Path) -> None:
    mine = state / "notebooks" / "train.ipynb"
    book(mine, "one", "my own cell")
    before = mine.read_bytes()
    assert copy_shipped(state, shipped).kept == []  # there is no newer version
    for version in ("two", "three"):
        book(shipped / "train.ipynb", version)
        assert copy_shipped(state, shipped).kept == ["train.ipynb"]
        assert copy_shipped(state, shipped).kept == []
        assert mine.read_bytes() == before


def test_a_users_file_with_the_name_of_a_shipped_notebook_is_kept(tmp_path: Path, shipped: Path) -> None:
    folder = tmp_path / "old" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "train.ipynb").write_text("not even JSON")
    assert copy_shipped(tmp_path / "old", shipped).kept == ["train.ipynb"]
    assert (folder / "train.ipynb").read_text() == "not even JSON"


def test_a_deleted_notebook_is_restored_and_the_users_own_is_not_touched(state: Path, shipped: Path) -> None:
    (state / "notebooks" / "train.ipynb").unlink()
    book(state / "notebooks" / "mine.ipynb", "x")
    assert copy_shipped(state, shipped).added == ["train.ipynb"]
    assert (state / "notebooks" / "mine.ipynb").exists()


def test_links_to_runs_models_and_data_do_not_replace_folders(tmp_path: Path, shipped: Path) -> None:
    state = tmp_path / "other"
    (state / "notebooks" / "data").mkdir(parents=True)
    (state / "runs" / "one").mkdir(parents=True)
    copy_shipped(state, shipped)
    assert (state / "notebooks" / "runs").readlink() == Path("../runs")
    assert (state / "notebooks" / "runs" / "one").is_dir()
    assert not (state / "notebooks" / "data").is_symlink()  # the user has a folder of that name
    copy_shipped(state, shipped)


def test_only_notebooks_that_the_workflow_runs_are_copied(tmp_path: Path) -> None:
    zeus = copy_shipped(tmp_path, route=Route(rest="jupyter")).added
    assert "train.ipynb" in zeus
    assert "start_here.ipynb" in zeus
    assert not [name for name in zeus if name.startswith(("pycaret", "quick"))]
    assert copy_shipped(tmp_path, route=Route(rest="jupyter", models="s3")).added == ["quick_preprocessing.ipynb"]
    assert len(copy_shipped(tmp_path, route=Route(rest="pycaret", models="s3")).added) == 4

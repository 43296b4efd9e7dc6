"""The shipped notebooks in a deployment: new ones come, untouched ones are updated, the user's stay as they are."""

import json
from pathlib import Path

import pytest

from pantheon.cli.notebooks import bring


def book(path: Path, *sources: str, outputs: bool = False) -> None:
    shown = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}] if outputs else []
    cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": shown,
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
    assert bring(tmp_path / "state", shipped).added == ["evaluate.ipynb", "train.ipynb"]
    return tmp_path / "state"


def test_again_changes_nothing(state: Path, shipped: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (state / "notebooks").iterdir() if path.is_file()}
    found = bring(state, shipped)
    assert (found.added, found.updated, found.kept) == ([], [], [])
    assert before == {path: path.stat().st_mtime_ns for path in (state / "notebooks").iterdir() if path.is_file()}


def test_an_untouched_one_is_updated_also_after_it_was_run(state: Path, shipped: Path) -> None:
    book(state / "notebooks" / "evaluate.ipynb", "one", outputs=True)
    for name in ("train", "evaluate"):
        book(shipped / f"{name}.ipynb", "two")
    assert bring(state, shipped).updated == ["evaluate.ipynb", "train.ipynb"]
    for name in ("train.ipynb", "evaluate.ipynb"):
        assert (state / "notebooks" / name).read_bytes() == (shipped / name).read_bytes()


def test_outputs_stay_where_there_is_nothing_new(state: Path, shipped: Path) -> None:
    book(state / "notebooks" / "train.ipynb", "one", outputs=True)
    assert bring(state, shipped).updated == []
    assert "hello" in (state / "notebooks" / "train.ipynb").read_text()


def test_what_the_user_wrote_is_never_overwritten_and_that_is_said_once(state: Path, shipped: Path) -> None:
    mine = state / "notebooks" / "train.ipynb"
    book(mine, "one", "my own cell")
    before = mine.read_bytes()
    assert bring(state, shipped).kept == []  # nothing newer to tell of
    for version in ("two", "three"):
        book(shipped / "train.ipynb", version)
        assert bring(state, shipped).kept == ["train.ipynb"]
        assert bring(state, shipped).kept == []
        assert mine.read_bytes() == before


def test_a_file_of_the_users_with_a_name_of_ours_is_theirs(tmp_path: Path, shipped: Path) -> None:
    folder = tmp_path / "old" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "train.ipynb").write_text("not even JSON")
    assert bring(tmp_path / "old", shipped).kept == ["train.ipynb"]
    assert (folder / "train.ipynb").read_text() == "not even JSON"


def test_a_removed_one_comes_back_and_a_further_one_is_left_alone(state: Path, shipped: Path) -> None:
    (state / "notebooks" / "train.ipynb").unlink()
    book(state / "notebooks" / "mine.ipynb", "x")
    assert bring(state, shipped).added == ["train.ipynb"]
    assert (state / "notebooks" / "mine.ipynb").exists()


def test_links_show_runs_models_and_data_and_are_not_forced(tmp_path: Path, shipped: Path) -> None:
    state = tmp_path / "other"
    (state / "notebooks" / "data").mkdir(parents=True)
    (state / "runs" / "one").mkdir(parents=True)
    bring(state, shipped)
    assert (state / "notebooks" / "runs").readlink() == Path("../runs")
    assert (state / "notebooks" / "runs" / "one").is_dir()
    assert not (state / "notebooks" / "data").is_symlink()  # the user has a folder of that name
    bring(state, shipped)


def test_only_what_a_deployments_workflow_runs_is_brought(tmp_path: Path) -> None:
    zeus = bring(tmp_path, route={"rest": "jupyter", "models": "folder"}).added
    assert "train.ipynb" in zeus
    assert "start_here.ipynb" in zeus
    assert not [name for name in zeus if name.startswith(("pycaret", "quick"))]
    assert bring(tmp_path, route={"rest": "jupyter", "models": "s3"}).added == ["quick_preprocessing.ipynb"]
    assert len(bring(tmp_path, route={"rest": "pycaret", "models": "s3"}).added) == 4

"""The challengers that wait for approval, and the model that a decision is about."""

from pathlib import Path

import pytest

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from pantheon.store.operations import only_waiting, waiting


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "models")


def challenge(store: FolderStore, tmp_path: Path, model: str) -> None:
    bundle = tmp_path / f"bundle-{model}"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(model.encode())
    version = store.publish(model, bundle, {})
    store.promote(model, version, "challenger", expected=None, by="workflow", note="looks good")


def test_the_only_challenger_is_found_whatever_the_deployments_dataset(store: FolderStore, tmp_path: Path) -> None:
    assert waiting(store) == []
    assert only_waiting(store, "robots") == "robots"
    challenge(store, tmp_path, "wine")
    assert only_waiting(store, "robots") == "wine"
    (found,) = waiting(store)
    assert (found["model"], found["version"], found["note"]) == ("wine", "1", "looks good")


def test_of_several_challengers_that_of_the_dataset_counts_else_a_person_chooses(
    store: FolderStore, tmp_path: Path
) -> None:
    for model in ("diabetes", "wine"):
        challenge(store, tmp_path, model)
    assert only_waiting(store, "wine") == "wine"
    with pytest.raises(PantheonError, match=r"several models have a challenger: diabetes, wine\.") as error:
        only_waiting(store, "robots")
    assert error.value.cure == "Choose one: `approve --model diabetes`"

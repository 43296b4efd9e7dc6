"""Models built elsewhere: valid ones are published with their origin, others are rejected with the reason."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from serving.external.publish import publish
from serving.model.predictor import Predictor
from tests.support.bundles import ROBOTS, bundle, model, signature
from tests.support.foreign import convert_here

SEED = np.random.default_rng(7)
X = SEED.normal(size=(300, 3)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
NUMBERS = [{"name": name, "type": "number", "nullable": False, "min": -3, "max": 3, "example": 1} for name in "abc"]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "models")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "handed-over"
    made.mkdir()
    return made


def put(store: FolderStore, folder: Path, **given: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"by": "ada", "note": "", "file": "theirs.onnx"} | given
    return publish(store, folder, "robots", asked.pop("alias", "challenger"), **asked)


def write_onnx(folder: Path, said: dict[str, Any] | None = None, **how: Any) -> dict[str, Any]:
    said = said or signature(ROBOTS)
    model(folder / "model.onnx", len(said["inputs"]), said["task"], len(said["output"].get("classes", [])), **how)
    (folder / "signature.json").write_text(json.dumps(said))
    return said


def test_an_onnx_file_with_its_signature(store: FolderStore, folder: Path) -> None:
    write_onnx(folder)
    said = put(store, folder)
    assert (said["version"], said["alias"]) == ("1", "challenger")
    challenger = store.resolve("robots", "challenger")
    assert (challenger.version, challenger.by, challenger.note) == ("1", "ada", "built elsewhere: theirs.onnx")
    assert store.alias("robots") is None, "it is not deployed unasked"
    version = store.describe("robots", "1")
    assert set(version.files) == {"model.onnx", "signature.json", "metrics.json", "card.md", "lineage.json"}
    assert version.metadata["origin"] == "outside"
    lineage = json.loads((store.get("robots", "1") / "lineage.json").read_text())
    assert lineage["origin"] == "outside"
    assert lineage["outside"] | {"file": "theirs.onnx", "by": "ada", "format": "onnx"} == lineage["outside"]
    assert Predictor(store.get("robots", "1"), "robots", "1").predict([{"robot-age": 20}]).prediction == [0]


def test_a_bundle_keeps_what_it_says_of_itself_as_a_claim(store: FolderStore, folder: Path) -> None:
    bundle(folder / "bundle")
    claim = {"data": {"name": "theirs", "sha256": "cd" * 32, "rows": 10}, "version_control": {"commit": "f" * 40}}
    (folder / "bundle" / "lineage.json").write_text(json.dumps(claim))
    put(store, folder, note="from the other team")
    lineage = json.loads((store.get("robots", "1") / "lineage.json").read_text())
    assert lineage["claimed"] == claim
    assert lineage["data"]["sha256"] == "cd" * 32
    assert "version_control" not in lineage, "their repository is not ours"
    assert store.describe("robots", "1").metadata["metric"] == {"name": "accuracy", "value": 0.9}
    assert store.resolve("robots", "challenger").note == "from the other team"


def test_a_signature_that_is_given_replaces_the_bundles_own(store: FolderStore, folder: Path) -> None:
    bundle(folder / "bundle")
    theirs = json.loads((folder / "bundle" / "signature.json").read_text())
    given = theirs | {"output": theirs["output"] | {"name": "put right"}}
    (folder / "signature.json").write_text(json.dumps(given))
    put(store, folder)
    kept = json.loads((store.get("robots", "1") / "signature.json").read_text())
    assert kept["output"]["name"] == "put right"


def test_a_model_with_an_invalid_name_is_not_published(store: FolderStore, folder: Path) -> None:
    write_onnx(folder)
    aliases = Path(store.where) / "robots" / "aliases"
    aliases.mkdir(parents=True)
    (aliases / "challenger.json").write_text("{")
    with pytest.raises(PantheonError, match=r"challenger\.json"):
        put(store, folder)
    assert store.list("robots") == []


def test_if_the_alias_changed_in_the_meantime_the_error_names_the_version(
    store: FolderStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_onnx(folder)
    real = store.publish

    def publish_and_lose(*given: Any) -> str:
        version = real(*given)
        store.promote("robots", version, "challenger", by="bob")
        return version

    monkeypatch.setattr(store, "publish", publish_and_lose)
    with pytest.raises(PantheonError, match="robots version 1 is published, but is not the challenger") as caught:
        put(store, folder)
    assert "models promote 1 --alias challenger" in caught.value.cure


def estimator(fitted: Any, folder: Path, said: dict[str, Any] | None = None) -> Path:
    joblib.dump(fitted, folder / "model.joblib")
    if said:
        (folder / "signature.json").write_text(json.dumps(said))
    convert_here(folder)
    return folder


@pytest.mark.parametrize(
    "fitted",
    [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
        HistGradientBoostingClassifier(max_iter=5).fit(X, np.array(["no", "yes"])[Y]),
        RandomForestRegressor(5).fit(X, X[:, 0] * 7),
    ],
    ids=["pipeline", "texts as classes", "numbers"],
)
def test_a_scikit_learn_model_is_converted_and_agrees(store: FolderStore, folder: Path, fitted: Any) -> None:
    said = put(store, estimator(fitted, folder), file="theirs.joblib")
    assert "ONNX and scikit-learn agree" in said["checked"]
    lineage = json.loads((store.get("robots", "1") / "lineage.json").read_text())
    assert lineage["outside"]["agreement"]["labels_differ"] == 0
    assert lineage["outside"]["format"] == "scikit-learn"
    assert "model.joblib" not in store.describe("robots", "1").files
    served = Predictor(store.get("robots", "1"), "robots", "1")
    rows = [dict(zip(("x1", "x2", "x3"), map(float, row), strict=True)) for row in X[:50]]
    expected = fitted.predict(X[:50])
    found = served.predict(rows).prediction
    assert np.allclose(found, expected) if expected.dtype.kind == "f" else found == expected.tolist()


def test_a_signature_names_the_inputs_of_a_joblib(store: FolderStore, folder: Path) -> None:
    put(store, estimator(LogisticRegression().fit(X, Y), folder, signature(NUMBERS)))
    assert [e["name"] for e in json.loads((store.get("robots", "1") / "signature.json").read_text())["inputs"]] == [
        *"abc"
    ]


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


def test_publishing_opens_only_onnx(store: FolderStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.joblib").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(PantheonError, match=r"model\.onnx is missing"):
        put(store, folder)
    assert not (folder / "exploded").exists()
    assert store.list("robots") == []


def graph(change: Callable[[onnx.ModelProto], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        write_onnx(folder)
        found = onnx.load(folder / "model.onnx")
        change(found)
        onnx.save(found, folder / "model.onnx")

    return apply


def said(**change: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        whole = write_onnx(folder)
        (folder / "signature.json").write_text(json.dumps(whole | change))

    return apply


def outside_weights(found: onnx.ModelProto) -> None:
    found.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    entry = found.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "../../secret"
    found.graph.initializer[0].ClearField("raw_data")


def not_softmax(found: onnx.ModelProto) -> None:
    next(node for node in found.graph.node if node.op_type == "Softmax").op_type = "LogSoftmax"


def least_likely(found: onnx.ModelProto) -> None:
    next(node for node in found.graph.node if node.op_type == "ArgMax").op_type = "ArgMin"


OUTPUT = signature(ROBOTS)["output"]
BAD: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: (f / "model.onnx").write_bytes(b"no model") and write_text(f), "not valid"),
    (graph(outside_weights), "in another file"),
    (graph(not_softmax), "add up to 1"),
    (graph(least_likely), "not its likeliest class"),
    (graph(lambda m: m.graph.node[0].__setattr__("op_type", "NoSuchOperator")), "not valid"),
    (said(format=9), "format 9"),
    (said(inputs=ROBOTS[:2]), "2 inputs"),
    (said(task="clustering"), "clustering"),
    (said(output=OUTPUT | {"classes": [0, 1, 2]}), "classes"),
    (said(output=OUTPUT | {"classes": [0, 0]}), "classes"),
    (said(output=OUTPUT | {"name": ""}), "no name"),
    (said(output=3), "signature"),
    (said(inputs=[{**ROBOTS[0], "seen": [1, 2, 3]}, *ROBOTS[1:]]), "signature"),
    (said(inputs=[{**ROBOTS[0], "example": 500}, *ROBOTS[1:]]), "signature"),
    (said(onnx={"input": "other", "outputs": ["label"]}), "input"),
    (lambda f: write_onnx(f) and (f / "signature.json").write_text("[1]"), "not a JSON object"),
    (lambda f: write_onnx(f) and (f / "signature.json").write_text("{"), "not JSON"),
    (lambda f: write_onnx(f) and (f / "signature.json").write_text('{"a": NaN}'), "NaN is not a JSON number"),
    (lambda f: write_onnx(f) and (f / "signature.json").write_text('{"a": -1e999}'), "-1e999 is not a JSON number"),
    (lambda f: write_onnx(f) and (f / "signature.json").unlink(), "signature.json is missing"),
    (lambda f: write_onnx(f) and (f / "signature.json").write_text(" " * 1_000_001), "larger than 1 MB"),
    (lambda f: bundle(f / "bundle") and (f / "bundle" / "run.sh").write_text("x"), "run.sh does not belong"),
    (lambda f: bundle(f / "bundle") and (f / "bundle" / "metrics.json").write_text('{"held_out": [1]}'), "held_out"),
]


def write_text(folder: Path) -> None:
    (folder / "signature.json").write_text(json.dumps(signature(ROBOTS)))


@pytest.mark.parametrize(("make", "why"), BAD, ids=[f"{i}: {why}" for i, (_, why) in enumerate(BAD)])
def test_invalid_models_are_rejected(store: FolderStore, folder: Path, make: Callable[[Path], Any], why: str) -> None:
    make(folder)
    with pytest.raises(PantheonError, match=why) as caught:
        put(store, folder)
    assert len(caught.value.cause) < 600
    assert store.list("robots") == []


@pytest.mark.parametrize(
    ("fitted", "given", "why"),
    [
        ({"a": "dict"}, None, "not a scikit-learn classifier"),
        (LogisticRegression(), None, "not fitted"),
        (LinearSVC().fit(X, Y), None, "no probabilities"),
        (LogisticRegression().fit(X, Y), signature(NUMBERS[:2]), "has 3 inputs"),
        (LogisticRegression().fit(X, Y), signature(NUMBERS, "regression"), "the signature says 'regression'"),
        (LogisticRegression().fit(X, Y + 5), signature(NUMBERS, classes=[1, 0]), "classes are"),
        (RandomForestRegressor(3).fit(X, X[:, :2]), None, "several numbers"),
    ],
)
def test_a_joblib_that_cannot_be_served(store: FolderStore, folder: Path, fitted: Any, given: Any, why: str) -> None:
    with pytest.raises(PantheonError, match=why):
        put(store, estimator(fitted, folder, given))
    assert store.list("robots") == []


def test_a_joblib_of_another_scikit_learn(folder: Path) -> None:
    fitted = LogisticRegression().fit(X, Y)
    state = fitted.__getstate__()
    joblib.dump(fitted, folder / "model.joblib")
    version = state["_sklearn_version"].encode()
    data = (folder / "model.joblib").read_bytes()
    (folder / "model.joblib").write_bytes(data.replace(version, b"0" + version[1:]))
    with pytest.raises(PantheonError, match="made with scikit-learn 0"):
        convert_here(folder)


def test_broken_pickles_are_one_line(folder: Path) -> None:
    (folder / "model.joblib").write_bytes(b"garbage")
    with pytest.raises(PantheonError, match="cannot be loaded here"):
        convert_here(folder)

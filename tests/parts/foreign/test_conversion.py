"""The conversion as a task runs it: what a pickle can reach there, what it gives back, its limits, its formats."""

import gzip
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline

from pantheon.deployment.model_convert import Parts
from pantheon.deployment.model_files import LARGEST, chosen, kind_of, needs_others
from pantheon.errors import PantheonError
from tests.support.foreign import Spy, convert, published

X = np.random.default_rng(7).normal(size=(100, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
FITTED = LogisticRegression().fit(X, Y)


def found(tmp_path: Path, finds: str) -> str:
    file = tmp_path / "spy.pkl"
    file.write_bytes(pickle.dumps(Spy(finds)))
    with pytest.raises(PantheonError, match="cannot be loaded here: RuntimeError") as caught:
        convert(file, tmp_path / "out", AWS_SECRET_ACCESS_KEY="hidden", STATE_DIR="/somewhere")
    return caught.value.cause


def test_a_pickle_finds_no_secrets_and_no_network(tmp_path: Path) -> None:
    names = found(tmp_path, "sorted(__import__('os').environ)")
    assert "PATH" in names
    assert "AWS" not in names and "STATE_DIR" not in names
    if os.geteuid() == 0:  # others may not be allowed to leave the network
        interfaces = found(tmp_path, "[e[1] for e in __import__('socket').if_nameindex()]")
        assert interfaces.endswith("['lo'].")


def test_a_plain_estimator_needs_no_other_environment(tmp_path: Path) -> None:
    joblib.dump(FITTED, tmp_path / "theirs.joblib")
    signature = tmp_path / "signature.json"
    inputs = [{"name": name, "type": "number", "nullable": False, "example": 0} for name in ("age", "size", "weight")]
    output = {"name": "state", "classes": ["bad", "good"]}
    signature.write_text(json.dumps({"task": "classification", "inputs": inputs, "output": output}))
    told = convert(tmp_path / "theirs.joblib", tmp_path / "made", signature)
    assert told["format"] == "scikit-learn"
    checked, predictor = published(tmp_path / "made", "theirs.joblib")
    assert checked == "scikit-learn, 2000 rows predicted according to the signature, ONNX and scikit-learn agree"
    rows = [dict(zip(("age", "size", "weight"), map(float, row), strict=True)) for row in X]
    assert predictor.predict(rows).prediction == [["bad", "good"][each] for each in FITTED.predict(X)]


def test_answers_that_differ_are_not_published(tmp_path: Path) -> None:
    joblib.dump(FITTED, tmp_path / "theirs.joblib")
    convert(tmp_path / "theirs.joblib", tmp_path / "made")
    arrays = np.load(tmp_path / "made" / "expected.npz")
    np.savez(tmp_path / "made" / "expected.npz", X=arrays["X"], expected=arrays["expected"][:, ::-1])
    with pytest.raises(PantheonError, match="predicts another class in") as caught:
        published(tmp_path / "made", "theirs.joblib")
    assert "Nothing was published" in caught.value.cure
    (tmp_path / "made" / "expected.npz").write_bytes(pickle.dumps(Spy("1")))
    with pytest.raises(PantheonError, match="cannot be compared with scikit-learn"):
        published(tmp_path / "made", "theirs.joblib")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (make_pipeline(LocalOutlierFactor(novelty=True)).fit(X), "is not a scikit-learn classifier or regressor"),
        (VotingClassifier([("a", FITTED)], voting="soft").fit(X, Y), "VotingClassifier cannot be converted to ONNX"),
    ],
    ids=["outliers", "vote"],
)
def test_an_estimator_without_a_converter_is_named(tmp_path: Path, model: Any, why: str) -> None:
    joblib.dump(model, tmp_path / "theirs.joblib")
    with pytest.raises(PantheonError, match=why) as caught:
        convert(tmp_path / "theirs.joblib", tmp_path / "made")
    assert caught.value.cure


@pytest.mark.slow
def test_a_conversion_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "theirs.pkl").write_bytes(pickle.dumps(Spy("__import__('time').sleep(600)")))
    with pytest.raises(PantheonError, match=r"the conversion of theirs\.pkl took more than 8 s") as caught:
        convert(tmp_path / "theirs.pkl", tmp_path / "made", PUBLISH_SECONDS="8")
    assert "PUBLISH_SECONDS=16" in caught.value.cure


def test_what_the_task_sends_is_not_trusted(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    for event in ({"event": "part", "file": "../x", "data": ""}, {"event": "part", "file": "model.onnx", "data": "!"}):
        with pytest.raises(ValueError, match=r"part of|base64|padding"):
            parts(event)
    parts.size = LARGEST
    with pytest.raises(PantheonError, match="more than 200 MB"):
        parts({"event": "part", "file": "model.onnx", "data": "AAAA"})


def test_files_are_known_by_name_and_beginning(tmp_path: Path) -> None:
    content = {
        "a.json": (b'{"x": 1}', "not a model of XGBoost"),
        "b.txt": (b"hello", "not a model of LightGBM"),
        "c.keras": (b"hello", "not a complete zip"),
        "d.h5": (b"hello", "not an HDF5 file"),
        "e.pt": (b"hello", "cannot be published"),
        "f.onnx": (b"hello", "does not describe its inputs"),
    }
    for name, (data, why) in content.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PantheonError, match=why) as caught:
            chosen(str(tmp_path / name), "")
        assert caught.value.cure
    (tmp_path / "g.json").write_text('{"learner": {}}')
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "saved_model.pb").touch()
    known = {name: kind_of(tmp_path / name) for name in ("g.json", "h")}
    assert {name: (kind.title, kind.environment) for name, kind in known.items()} == {
        "g.json": ("XGBoost", "boosting"),
        "h": ("TensorFlow", "tensorflow"),
    }


def test_a_pickle_that_names_a_booster_is_recognised_without_loading_it(tmp_path: Path) -> None:
    plain = pickle.dumps(FITTED)
    for mark, expected in ((b"", False), (b"cxgboost.sklearn\nXGBClassifier\n", True), (b"lightgbm.basic", True)):
        for name, pack in (("plain", bytes), ("gzip", gzip.compress), ("zlib", zlib.compress)):
            (tmp_path / name).write_bytes(pack(b"\x80\x04" + bytes(3 << 20) + mark + plain))
            assert needs_others(tmp_path / name) is expected, (mark, name)

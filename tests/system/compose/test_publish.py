"""A model built elsewhere is converted in a container that has nothing of the deployment."""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pantheon.engines.compose.client import Api
from tests.support.compose import Composed, inventory
from tests.support.foreign import Spy

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
FOLDERS = "('/sys/class/net', '/run/secrets', '/pantheon')"
FINDS = f"[__import__('os').listdir(each) for each in {FOLDERS} if __import__('os').path.exists(each)]"


def left(docker: Api, deployment: Composed) -> set[str]:
    return {name for name in inventory(docker) if deployment.name in name}


def test_a_pickle_is_converted_without_network_secrets_and_folders(
    persephone: Composed, docker: Api, tmp_path: Path
) -> None:
    before = left(docker, persephone)
    (tmp_path / "spy.pkl").write_bytes(pickle.dumps(Spy(FINDS)))
    answer = persephone("models", "publish", str(tmp_path / "spy.pkl"), "--model", "theirs", "--trust", check=False)
    assert "cannot be loaded here: RuntimeError: [['lo']]." in answer.message
    X = np.random.default_rng(0).normal(size=(50, 2))
    joblib.dump(LogisticRegression().fit(X, X[:, 0] > 0), tmp_path / "theirs.joblib")
    warned = persephone("models", "publish", str(tmp_path / "theirs.joblib"), "--model", "theirs", check=False)
    assert "in a container without network, keys or data" in warned.err.replace("\n", " ")
    said = persephone("models", "publish", str(tmp_path / "theirs.joblib"), "--model", "theirs", "--trust", "--json")
    assert said.json["checked"].endswith("ONNX and scikit-learn agree")
    assert left(docker, persephone) == before
    assert list(persephone.state.glob(".convert-*")) == []

"""Models of TensorFlow and Keras: converted by the real converter, they answer as before."""

from pathlib import Path

import pytest

from tests.parts.foreign.answers import check_answers, refusal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the environment, made by the first test, has 1.4 GB
GOOD = {
    "keras": "Keras",
    "h5 of three classes": "Keras",
    "normalised number": "Keras",
    "several inputs": "Keras",
    "SavedModel": "TensorFlow",
    "zip": "TensorFlow",
}
BAD = {
    "own layer": "its layer or function Doubled is code of its author",
    "lambda": "a Lambda layer in it is Python code",
    "no probabilities": "answers with 3 numbers a row that are not probabilities",
    "pictures": "takes [any, 4, 4, 1]",
    "texts": "there is no converter for StringLookup and other layers that look up texts",
    "weights": "it contains weights only",
    "files": "uses files or Python code while it predicts (WriteFile)",
}


@pytest.mark.parametrize("name", GOOD)
def test_it_answers_as_the_original(tensorflow: Path, tmp_path: Path, name: str) -> None:
    checked, predictor = check_answers(tensorflow / name, tmp_path)
    assert f"ONNX and {GOOD[name]} agree" in checked
    if name == "several inputs":
        inputs = {each["name"]: each["type"] for each in predictor.signature.raw["inputs"]}
        assert inputs == {"age": "number", "size1": "number", "size2": "number", "rooms": "integer"}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_converted_is_said_in_words(tensorflow: Path, name: str) -> None:
    cause, cure = refusal(tensorflow / name)
    assert BAD[name] in cause
    assert cure

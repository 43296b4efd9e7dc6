"""Make models of TensorFlow and Keras and convert each: runs in their environment, as ``python … FOLDER``.

``FOLDER/NAME`` is as ``boosting_models`` makes it.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow
from keras import layers

from pantheon.errors import PantheonError
from serving.external import conversion

X = np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32)


@keras.saving.register_keras_serializable()
class Doubled(layers.Layer):
    def call(self, values: Any) -> Any:
        return values * 2


class Writing(tensorflow.Module):
    @tensorflow.function(input_signature=[tensorflow.TensorSpec((None, 4), tensorflow.float32)])
    def predict(self, values: Any) -> Any:
        tensorflow.io.write_file("written", "x")
        return {"sum": tensorflow.reduce_sum(values, axis=1, keepdims=True)}


def network(activation: str | None, width: int, *begin: Any) -> Any:
    keras.utils.set_random_seed(3)
    hidden = [layers.Dense(6, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.2)]
    end = layers.Dense(width, activation=activation)
    return keras.Sequential([keras.Input((4,), name="x"), *begin, *hidden, end])


def several_inputs() -> Any:
    """A float input, one of two columns, and a whole number."""
    rooms = keras.Input((1,), name="rooms", dtype="int64")
    ends = [keras.Input((1,), name="age"), keras.Input((2,), name="size"), rooms]
    joined = layers.Concatenate()([ends[0], ends[1], layers.Rescaling(0.5)(ends[2])])
    return keras.Model(ends, layers.Dense(1, activation="sigmoid")(joined))


def with_texts() -> Any:
    town = keras.Input((1,), name="town", dtype="string")
    found = layers.StringLookup(vocabulary=["Lima", "Oslo"], output_mode="one_hot")(town)
    return keras.Model(town, layers.Dense(1, activation="sigmoid")(found))


def shares(model: Any) -> list[Any]:
    found = np.asarray(model(X, training=False))
    return (found[:, 0] > 0.5).astype(int).tolist() if found.shape[1] == 1 else found.argmax(axis=1).tolist()


def good(out: Path) -> dict[str, tuple[list[Any], list[Any]]]:
    """Save what is converted; return rows and answers by name."""
    normal = layers.Normalization()
    normal.adapt(X)
    two, three, number, many = network("sigmoid", 1), network("softmax", 3), network(None, 1, normal), several_inputs()
    for name in ("keras", "h5 of three classes", "normalised number", "several inputs", "SavedModel", "zip"):
        (out / name).mkdir(parents=True)
    two.save(out / "keras" / "model.keras")
    three.save(out / "h5 of three classes" / "model.h5")
    number.save(out / "normalised number" / "model.keras")
    many.save(out / "several inputs" / "model.keras")
    three.export(out / "SavedModel" / "saved_model", verbose=False)
    shutil.make_archive(str(out / "zip" / "saved_model"), "zip", out / "SavedModel")
    whole = np.round(X[:, 3:])
    asked = np.asarray(many([X[:, :1], X[:, 1:3], whole.astype(np.int64)]))
    of_many = np.concatenate([X[:, :3], whole], axis=1).tolist(), (asked[:, 0] > 0.5).astype(int).tolist()
    return {
        "keras": (X.tolist(), shares(two)),
        "h5 of three classes": (X.tolist(), shares(three)),
        "normalised number": (X.tolist(), np.asarray(number(X))[:, 0].tolist()),
        "several inputs": of_many,
        "SavedModel": (X.tolist(), shares(three)),
        "zip": (X.tolist(), shares(three)),
    }


def bad(out: Path) -> list[str]:
    """Save what cannot be converted; return its names."""
    networks = {
        "own layer": network(None, 1, Doubled()),
        "lambda": network(None, 1, layers.Lambda(lambda values: values * 2)),
        "no probabilities": network(None, 3),
        "pictures": keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)]),
        "texts": with_texts(),
    }
    for name, model in networks.items():
        (out / name).mkdir(parents=True)
        model.save(out / name / "model.keras")
    (out / "weights").mkdir()
    network(None, 1).save_weights(out / "weights" / "model.weights.h5")
    (out / "weights" / "model.weights.h5").rename(out / "weights" / "model.h5")
    writing = Writing()
    tensorflow.saved_model.save(writing, str(out / "files" / "saved_model"), signatures=writing.predict)
    towns = [{"name": "town", "type": "category", "categories": ["Lima", "Oslo"], "nullable": False}]
    signature = {"task": "classification", "inputs": towns, "output": {"name": "answer", "classes": ["no", "yes"]}}
    (out / "texts" / "signature.json").write_text(json.dumps(signature))
    keras.saving.get_custom_objects().clear()  # as where the author's code is not
    return [*networks, "weights", "files"]


def main(out: Path) -> None:
    answers = good(out)
    for name in [*answers, *bad(out)]:
        folder = out / name
        rows, expected = answers.get(name, ([], []))
        (folder / "rows.json").write_text(json.dumps({"rows": rows, "answers": expected}))
        try:
            found = conversion.convert(str(folder), str(folder), "theirs", "their model")
        except PantheonError as error:
            (folder / "error.json").write_text(json.dumps({"cause": error.cause, "cure": error.cure}))
        else:
            (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())

"""Train models of XGBoost and LightGBM and convert each: runs in their environment, as ``python … FOLDER``.

``FOLDER/NAME`` then has the model's file, what its conversion made or ``error.json``, and ``rows.json`` with rows and
what the original library predicts for them; ``FOLDER/export of NAME`` the same of an ONNX file as people export it.
"""

import json
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnx
import pandas
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from pantheon.errors import PantheonError
from serving.external import conversion

warnings.simplefilter("ignore")
RANDOM = np.random.default_rng(5)
X = RANDOM.integers(-9, 10, size=(400, 3)).astype(np.float32)
X[RANDOM.random(X.shape) < 0.1] = np.nan
FULL = np.nan_to_num(X)
Y = (FULL[:, 0] + FULL[:, 1] > 0).astype(int)
THREE = np.digitize(FULL[:, 2], [-3, 3])
TEXTS = np.array(["no", "yes"])[Y]
TOWNS = np.array(["Lima", "Oslo"], dtype=object)[(RANDOM.random(400) > 0.5).astype(int)]
TABLE = pandas.DataFrame({"age": FULL[:, 0], "net income": FULL[:, 1], "town": TOWNS})
FEW = {"n_estimators": 5, "n_jobs": 1}
QUIET = FEW | {"verbose": -1}
COLUMNS = ColumnTransformer(
    [("numbers", StandardScaler(), ["age", "net income"]), ("texts", OneHotEncoder(), ["town"])]
)


def own(prediction: Any, shares: Any) -> tuple[Any, Any]:
    """A squared error, as a person writes it."""
    return prediction - shares, np.ones_like(prediction)


def trained(parameters: dict[str, Any], target: Any) -> xgboost.Booster:
    names = ["age", "net income", "rest"]
    return xgboost.train(parameters, xgboost.DMatrix(X, target, feature_names=names), 5)


def lightgbm_of(objective: Any) -> lightgbm.Booster:
    return lightgbm.train({"objective": objective, "verbose": -1}, lightgbm.Dataset(FULL, Y.astype(float)), 3)


Save = Callable[[Path], Any]


def save(model: Any, name: str) -> Save:
    return lambda folder: model.save_model(str(folder / name))


def dump(model: Any, compress: int = 0) -> Save:
    return lambda folder: joblib.dump(model, folder / "model.joblib", compress=compress)


def by_name() -> dict[str, tuple[Save, Callable[[Any], Any] | None, Any]]:
    """Return how to save each model, what predicts labels or numbers of rows, and these rows."""
    binary = xgboost.XGBClassifier(**FEW).fit(X, Y)
    three = xgboost.XGBClassifier(**FEW).fit(TABLE[["age", "net income"]], THREE)
    number = xgboost.XGBRegressor(**FEW, objective="count:poisson").fit(X, FULL[:, 0] + 10)
    raw = trained({"objective": "binary:logistic"}, Y)
    light = lightgbm.LGBMClassifier(**QUIET).fit(X, TEXTS)
    light_three = lightgbm.LGBMClassifier(**QUIET).fit(FULL, THREE)
    light_number = lightgbm.LGBMRegressor(**QUIET).fit(X, FULL[:, 0] * 100)
    scaled = make_pipeline(SimpleImputer(), StandardScaler(), xgboost.XGBClassifier(**FEW)).fit(FULL, Y)
    table = make_pipeline(COLUMNS, lightgbm.LGBMClassifier(**QUIET)).fit(TABLE, TEXTS)
    calibrated = CalibratedClassifierCV(xgboost.XGBClassifier(**FEW), cv=2).fit(FULL, Y)
    good: dict[str, tuple[Save, Callable[[Any], Any] | None, Any]] = {
        "xgboost json": (save(binary, "model.json"), binary.predict, X),
        "xgboost ubj of three classes": (save(three, "model.ubj"), three.predict, TABLE[["age", "net income"]]),
        "xgboost json of a number": (save(number, "model.json"), number.predict, X),
        "xgboost booster": (
            save(raw, "model.json"),
            lambda rows: (raw.predict(xgboost.DMatrix(rows, feature_names=raw.feature_names)) > 0.5).astype(int),
            X,
        ),
        "xgboost pickle": (dump(binary), binary.predict, X),
        "xgboost booster in a pickle": (
            lambda folder: (folder / "model.joblib").write_bytes(pickle.dumps(raw)),
            lambda rows: (raw.predict(xgboost.DMatrix(rows, feature_names=raw.feature_names)) > 0.5).astype(int),
            X,
        ),
        "lightgbm text": (
            save(light.booster_, "model.txt"),
            lambda rows: (light.predict(rows) == "yes").astype(int),
            X,
        ),
        "lightgbm text of three classes": (save(light_three.booster_, "model.txt"), light_three.predict, FULL),
        "lightgbm text of a number": (save(light_number.booster_, "model.txt"), light_number.predict, X),
        "lightgbm compressed pickle": (dump(light, compress=3), light.predict, X),
        "pipeline with xgboost": (dump(scaled), scaled.predict, FULL),
        "pipeline over a table with lightgbm": (dump(table), table.predict, TABLE),
        "xgboost calibrated by scikit-learn": (dump(calibrated), calibrated.predict, FULL),
    }
    ranks = xgboost.XGBRanker(n_estimators=2).fit(X, Y, qid=np.repeat(np.arange(4), 100))
    towns = TABLE.assign(town=TABLE["town"].astype("category"))
    bad = {
        "a ranker": save(ranks, "model.json"),
        "dart": save(xgboost.XGBClassifier(**FEW, booster="dart").fit(X, Y), "model.json"),
        "categories": save(xgboost.XGBClassifier(**FEW, enable_categorical=True).fit(towns, Y), "model.json"),
        "own objective of xgboost": dump(xgboost.XGBRegressor(**FEW, objective=own).fit(X, FULL[:, 0])),
        "own objective of lightgbm": save(lightgbm_of(lambda p, data: own(p, data.get_label())), "model.txt"),
        "mape": save(lightgbm_of("mape"), "model.txt"),
        "not xgboost": lambda folder: (folder / "model.json").write_text('{"learner": 3}'),
        "no probabilities": dump(make_pipeline(SVC()).fit(FULL, TEXTS)),
    }
    return good | {name: (how, None, None) for name, how in bad.items()}


def exports() -> dict[str, tuple[Any, Callable[[Any], Any], list[Any] | None]]:
    """Return ONNX models as onnxmltools writes them by default, what predicts labels or numbers, and the classes."""
    kinds = [("X", FloatTensorType([None, 3]))]
    binary = xgboost.XGBClassifier(**FEW).fit(FULL, Y)
    texts = lightgbm.LGBMClassifier(**QUIET).fit(FULL, TEXTS)  # ZipMap: a sequence of maps
    three = lightgbm.LGBMClassifier(**QUIET).fit(FULL, THREE)
    number = lightgbm.LGBMRegressor(**QUIET).fit(FULL, FULL[:, 0])  # marked with ONNX's opset 8
    return {
        "xgboost": (convert_xgboost(binary, initial_types=kinds, target_opset=15), binary.predict, [0, 1]),
        "lightgbm": (convert_lightgbm(texts, initial_types=kinds, target_opset=15), texts.predict, ["no", "yes"]),
        "lightgbm of three": (convert_lightgbm(three, initial_types=kinds, target_opset=15), three.predict, [0, 1, 2]),
        "lightgbm number": (convert_lightgbm(number, initial_types=kinds, target_opset=15), number.predict, None),
    }


def main(out: Path) -> None:
    for name, (model, predict, classes) in exports().items():
        folder = out / f"export of {name}"
        folder.mkdir(parents=True)
        onnx.save(model, folder / "model.onnx")
        inputs = [{"name": each, "type": "number", "nullable": False, "example": 1} for each in "abc"]
        output = {"name": "answer", **({"classes": classes} if classes else {})}
        task = "classification" if classes else "regression"
        (folder / "signature.json").write_text(json.dumps({"task": task, "inputs": inputs, "output": output}))
        answers = np.asarray(predict(FULL)).tolist()
        (folder / "rows.json").write_text(json.dumps({"rows": FULL.tolist(), "answers": answers}))
    for name, (how, predict, rows) in by_name().items():
        folder = out / name
        folder.mkdir(parents=True)
        how(folder)
        answer = np.asarray(predict(rows)).reshape(-1).tolist() if predict else []
        records = (
            rows.to_dict("records") if isinstance(rows, pandas.DataFrame) else [] if rows is None else rows.tolist()
        )
        (folder / "rows.json").write_text(json.dumps({"rows": records, "answers": answer}))
        try:
            found = conversion.convert(str(folder), str(folder), "theirs", "their model")
        except PantheonError as error:
            (folder / "error.json").write_text(json.dumps({"cause": error.cause, "cure": error.cure}))
        else:
            (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

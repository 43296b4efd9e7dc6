"""ONNX models as exporters write them by default are given the served form and predict the same, or are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import polars
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pantheon.errors import PantheonError
from pantheon.store import FolderStore
from serving.external.publish import publish
from serving.model.predictor import Predictor
from tests.support.foreign import convert_here

RANDOM = np.random.default_rng(3)
X = RANDOM.integers(-9, 9, size=(200, 2)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
TOWNS = np.array(["Lima", "Oslo"])[(RANDOM.random(200) > 0.5).astype(int)]
NUMBERS = [{"name": name, "type": "number", "nullable": False, "example": 1} for name in ("age", "net income")]
TEXTS = LogisticRegression().fit(X, np.array(["no", "yes"])[Y])
WHOLE = LogisticRegression().fit(X, Y)


def said(classes: list[Any] | None = None, inputs: list[dict[str, Any]] = NUMBERS, **more: Any) -> dict[str, Any]:
    """The least that a person writes."""
    output: dict[str, Any] = {"name": "answer", **({"classes": classes, "type": "category"} if classes else {})}
    return {"task": "classification" if classes else "regression", "inputs": inputs, "output": output, **more}


def served(tmp_path: Path, model: Any, signature: dict[str, Any]) -> tuple[str, Predictor]:
    folder = tmp_path / "handed-over"
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    (folder / "signature.json").write_text(json.dumps(signature))
    store = FolderStore(tmp_path / "models")
    done = publish(store, folder, "x", "challenger", by="ada", note="", file="theirs.onnx")
    return done["checked"], Predictor(store.get("x", "1"), "x", "1")


def ask(predictor: Predictor, values: Any = X) -> Any:
    names = [each["name"] for each in predictor.signature.raw["inputs"]]
    kinds = [int if each["type"] == "integer" else float for each in predictor.signature.raw["inputs"]]
    return predictor.predict([{n: k(v) for n, k, v in zip(names, kinds, row, strict=True)} for row in values])


def export(model: Any, kind: Any = FloatTensorType, opset: int = 18, rows: int | None = None, **options: Any) -> Any:
    return to_onnx(model, initial_types=[("X", kind([rows, 2]))], target_opset=opset, **options)


def stamped(model: Any, ir: int = 0, opset: int = 0) -> Any:
    """The model as a newer exporter marks it."""
    model.ir_version = ir or model.ir_version
    for each in model.opset_import:
        each.version = opset if opset and each.domain == "" else each.version
    return model


MODELS: list[tuple[str, Callable[[], Any], list[Any], str]] = [
    ("ZipMap and texts as classes", lambda: export(TEXTS), ["no", "yes"], "instead of maps"),
    ("texts as classes", lambda: export(TEXTS, options={"zipmap": False}), ["no", "yes"], "instead of its text"),
    ("classes in another order", lambda: export(TEXTS), ["yes", "no"], "in the signature's order"),
    ("ZipMap", lambda: export(WHOLE), [0, 1], "instead of maps"),
    ("names for whole numbers", lambda: export(WHOLE), ["no", "yes"], "instead of maps"),
    ("double", lambda: export(WHOLE, DoubleTensorType, options={"zipmap": False}), [0, 1], "numbers as double"),
    ("int64", lambda: export(WHOLE, Int64TensorType), [0, 1], "age takes whole numbers only"),
    ("one row", lambda: export(WHOLE, rows=1), [0, 1], "any number of rows"),
    ("four rows", lambda: export(WHOLE, rows=4), [0, 1], "any number of rows"),
    ("newer IR", lambda: stamped(export(WHOLE), ir=14), [0, 1], "older ONNX version"),
    ("newer opset", lambda: stamped(export(WHOLE), opset=28), [0, 1], "older ONNX version"),
    ("old opset", lambda: export(TEXTS, opset=9), ["no", "yes"], "instead of maps"),
]


@pytest.mark.parametrize(("make", "classes", "change"), [m[1:] for m in MODELS], ids=[m[0] for m in MODELS])
def test_a_default_export_is_adapted(tmp_path: Path, make: Callable[[], Any], classes: list[Any], change: str) -> None:
    checked, predictor = served(tmp_path, make(), said(classes))
    assert change in checked
    answer = ask(predictor)
    expected = [({"no": 0, "yes": 1}.get(classes[0], 0) == 0) == (y == 0) for y in WHOLE.predict(X)]
    assert [predictor.signature.classes.index(each) == 0 for each in answer.prediction] == expected
    shares = WHOLE.predict_proba(X) if classes[0] in (0, "no") else WHOLE.predict_proba(X)[:, ::-1]
    assert np.allclose(np.array(answer.probabilities), shares, atol=1e-4)
    assert change.split(",")[0] in predictor.card or "takes whole" in change


def test_an_input_per_column_and_a_category(tmp_path: Path) -> None:
    kinds = [
        ("town", StringTensorType([None, 1])),
        ("age", Int64TensorType([None, 1])),
        ("net income", FloatTensorType([None, 1])),
    ]
    steps = [("texts", OneHotEncoder(handle_unknown="ignore"), [0]), ("numbers", StandardScaler(), [1, 2])]
    table = np.column_stack([TOWNS.astype(object), X.astype(object)])
    fitted = make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(table, (TOWNS == "Oslo") ^ (Y == 1))
    town = {"name": "town", "type": "category", "categories": ["Oslo", "Lima"], "unknown": "other", "example": "Oslo"}
    signature = said([False, True], [*NUMBERS, town])
    signature["output"]["classes"] = ["no", "yes"]
    checked, predictor = served(tmp_path, to_onnx(fitted, initial_types=kinds, target_opset=18), signature)
    assert "one input for all columns" in checked
    rows = [{"age": int(a), "net income": float(i), "town": str(t)} for (a, i), t in zip(X, TOWNS, strict=True)]
    found = predictor.predict(rows)
    assert found.prediction == np.array(["no", "yes"])[fitted.predict(table).astype(int)].tolist()
    unknown = predictor.predict([{"age": 1, "net income": 2.0, "town": "Rome"}]).probabilities
    assert np.allclose(unknown, fitted.predict_proba(np.array([["Rome", 1, 2.0]], dtype=object)), atol=1e-4)


def test_a_regression_in_double(tmp_path: Path) -> None:
    fitted = LinearRegression().fit(X, X[:, 0] * 3)
    _, predictor = served(tmp_path, export(fitted, DoubleTensorType), said())
    assert np.allclose(ask(predictor).prediction, X[:, 0] * 3, atol=1e-3)


def test_an_output_for_each_class(tmp_path: Path) -> None:
    checked, predictor = served(tmp_path, export(TEXTS, options={"zipmap": "columns"}), said(["no", "yes"]))
    assert "the outputs of the classes as one" in checked
    answer = ask(predictor)
    assert answer.prediction == TEXTS.predict(X).tolist()
    assert np.allclose(np.array(answer.probabilities), TEXTS.predict_proba(X), atol=1e-4)


def test_a_sequence_with_one_tensor(tmp_path: Path) -> None:
    model = one_share()
    model.graph.node.append(helper.make_node("SequenceConstruct", ["share"], ["shares"]))
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 1])
    model.graph.output[0].CopyFrom(helper.make_value_info("shares", helper.make_sequence_type_proto(kind)))
    checked, predictor = served(tmp_path, model, said(["no", "yes"]))
    assert "instead of a sequence" in checked
    assert ask(predictor, [[3, 1], [-3, 1]]).prediction == ["yes", "no"]


def test_inputs_of_several_columns_take_them_in_order(tmp_path: Path) -> None:
    ends = ("first", TensorProto.FLOAT, [None, 2]), ("then", TensorProto.INT64, [None])
    nodes = [
        helper.make_node("ReduceSum", ["first"], ["sum"], axes=[1], keepdims=0),
        helper.make_node("Cast", ["then"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sum", "float"], ["number"]),
    ]
    inputs = [helper.make_tensor_value_info(*each) for each in ends]
    outputs = [helper.make_tensor_value_info("number", TensorProto.FLOAT, [None])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    columns = [{"name": name, "type": "number", "nullable": False, "example": 1} for name in "abc"]
    checked, predictor = served(tmp_path, model, said(inputs=columns))
    assert "one input for all columns; c takes whole numbers only" in checked
    assert ask(predictor, [[1.5, 2, 3], [1, 1, -1]]).prediction == [10.5, -2.0]


def one_share() -> Any:
    """A network with one output, the probability of the second class."""
    nodes = [
        helper.make_node("ReduceSum", ["X"], ["sum"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["sum"], ["share"]),
    ]
    ends = ("X", [None, 2]), ("share", [None, 1])
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    graph = helper.make_graph(nodes, "g", [first], [last])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)


def test_the_probability_of_one_class_is_enough(tmp_path: Path) -> None:
    checked, predictor = served(tmp_path, one_share(), said(["no", "yes"]))
    assert "completed to both" in checked
    assert ask(predictor, [[3, 1], [-3, 1]]).prediction == ["yes", "no"]


def fixed_inside() -> Any:
    model = one_share()
    model.graph.node.append(helper.make_node("Reshape", ["share", "shape"], ["again"]))
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]))
    model.graph.output[0].name = "again"
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model


def newest_operator() -> Any:
    ends = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("X", "Y"))
    graph = helper.make_graph([helper.make_node("Celu", ["X"], ["Y"])], "g", *([each] for each in ends))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)], ir_version=14)


MISSING = [{**NUMBERS[0], "nullable": True}, NUMBERS[1]]
FLOAT = [{"name": "age", "type": "float"}, NUMBERS[1]]
BAD: list[tuple[Callable[[], Any], dict[str, Any], str, str]] = [
    (lambda: export(TEXTS), said(["ja", "nein"]), r"the model's are \['no', 'yes'\]", "to ['no', 'yes']"),
    (lambda: export(WHOLE), said([0, 1], NUMBERS[:1]), r"takes \[any, 2\]", "every column"),
    (fixed_inside, said([0, 1]), "1 row only", "free number of rows"),
    (newest_operator, said([0, 1]), "IR 14 and opset ai.onnx 28", "older opset"),
    (lambda: export(WHOLE, Int64TensorType), said([0, 1], MISSING), "may be missing", "false"),
    (lambda: export(WHOLE), said([0, 1], FLOAT), "type 'float'", "number, integer"),
    (lambda: export(WHOLE), {"inputs": NUMBERS, "output": {}}, 'no "task"', '"classification" or "regression"'),
    (lambda: export(WHOLE), said([0, 1], onnx={"input": "rows", "outputs": []}), "output rows", "It has X"),
]


@pytest.mark.parametrize(("make", "signature", "why", "cure"), BAD, ids=[each[2] for each in BAD])
def test_what_cannot_be_adapted_is_refused_with_a_remedy(
    tmp_path: Path, make: Callable[[], Any], signature: dict[str, Any], why: str, cure: str
) -> None:
    with pytest.raises(PantheonError, match=why) as caught:
        served(tmp_path, make(), signature)
    assert cure in caught.value.cure


def published(tmp_path: Path, fitted: Any, signature: dict[str, Any] | None = None) -> Predictor:
    folder = tmp_path / "handed-over"
    folder.mkdir()
    joblib.dump(fitted, folder / "model.joblib")
    if signature:
        (folder / "signature.json").write_text(json.dumps(signature))
    convert_here(folder)
    store = FolderStore(tmp_path / "models")
    publish(store, folder, "x", "challenger", by="ada", note="", file="theirs.joblib")
    return Predictor(store.get("x", "1"), "x", "1")


TABLE = polars.DataFrame({"age": X[:, 0], "net income": X[:, 1], "town": TOWNS, "rooms": Y + 2, "unused": X[:, 0]})
COLUMNS = ColumnTransformer(
    [("numbers", StandardScaler(), ["age", "net income"]), ("texts", OneHotEncoder(), ["town", "rooms"])]
)


@pytest.mark.parametrize("unused", [False, True])
def test_a_pipeline_over_the_columns_of_a_table(tmp_path: Path, unused: bool) -> None:
    table = TABLE if unused else TABLE.drop("unused")
    fitted = make_pipeline(COLUMNS, LogisticRegression()).fit(
        table, np.where((TOWNS == "Oslo") ^ (Y == 1), "yes", "no")
    )
    predictor = published(tmp_path, fitted)
    inputs = {each["name"]: each for each in predictor.signature.raw["inputs"]}
    assert inputs["town"]["categories"] == ["Lima", "Oslo"]
    assert (inputs["rooms"]["type"], inputs["rooms"]["min"], inputs["rooms"]["max"]) == ("integer", 2, 3)
    assert predictor.predict(table.to_dicts()).prediction == fitted.predict(table).tolist()


def test_a_joblib_with_a_dict_is_refused_with_its_entry(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="whose entry 'model' is a LogisticRegression") as caught:
        published(tmp_path, {"model": WHOLE, "threshold": 0.5})
    assert "joblib.dump(content['model'], 'model.joblib')" in caught.value.cure


def test_an_estimator_that_fails_for_its_signature_is_refused(tmp_path: Path) -> None:
    fitted = make_pipeline(COLUMNS, LogisticRegression()).fit(TABLE.drop("unused"), Y)
    numbers = [{"name": name, "type": "number", "nullable": False} for name in ("age", "net income", "town", "rooms")]
    with pytest.raises(PantheonError, match="fails for values that its signature allows") as caught:
        published(tmp_path, fitted, said([0, 1], numbers))
    assert "--signature" in caught.value.cure

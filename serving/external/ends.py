"""Connect the inputs and outputs of a model built elsewhere to those that are served; see ``adapt``."""

import re
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.onnx_export import INPUT, Graph

LABEL = "original_label"  # an output that only the comparison has
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
WHOLE = (TensorProto.INT64, TensorProto.INT32)


def shape_of(value: Any) -> list[int | None] | None:
    """Return the dimensions of a tensor, None for a free one; None if even their number is unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def connect_inputs(graph: Graph, inputs: list[Any], signature: dict[str, Any], notes: list[str]) -> list[Any]:
    """Add nodes that make the model's inputs of the served matrix. Return those that give them their names."""
    entries = signature["inputs"]
    shape = shape_of(inputs[0]) if len(inputs) == 1 else None
    if len(inputs) == 1 and not (shape is not None and (len(shape) == 1 or shape[1:] == [1])):
        (whole,) = inputs
        if shape is not None and (len(shape) != 2 or shape[1] not in (None, len(entries))):
            raise PantheonError(
                f"the model takes [{listed(shape)}], but its signature has {len(entries)} inputs.",
                "Describe every column of the model in the signature, in its order.",
            )
        kind = whole.type.tensor_type.elem_type
        if kind == TensorProto.STRING:
            raise PantheonError(
                f"the model's input {shown(whole)} is one matrix of texts.",
                "Export it with an input per column: initial_types=[('age', FloatTensorType([None, 1])), …].",
            )
        return [rename(converted(graph, INPUT, kind, entries, notes), whole.name)]
    if len(inputs) > 1 and (parts := blocks(inputs, len(entries))):
        notes.append("one input for all columns")
        return [block(graph, each, entries, columns, notes) for each, columns in zip(inputs, parts, strict=True)]
    names, plain = [shown(each) for each in inputs], [identifier(shown(each)) for each in inputs]
    wanted = [identifier(str(entry["name"])) for entry in entries]
    if sorted(plain) != sorted(wanted) or len(set(plain)) != len(plain):
        raise PantheonError(
            f"the model has the inputs {', '.join(names[:20])}, but the signature "
            f"{', '.join(str(entry['name']) for entry in entries[:20])}.",
            "Give the signature's inputs the names of the model's.",
        )
    if len(inputs) > 1:
        notes.append("one input for all columns")
    renamed = []
    for each, name in zip(inputs, plain, strict=True):
        place = wanted.index(name)
        renamed.append(block(graph, each, entries, range(place, place + 1), notes))
    return renamed


def blocks(inputs: list[Any], count: int) -> list[range] | None:
    """Return which columns each input takes, in their order; None if each takes one, or they do not add up."""
    widths: list[int | None] = []
    places: list[range] = []
    for each in inputs:
        shape = shape_of(each) or [None, None]
        widths.append(1 if len(shape) == 1 else shape[1] if len(shape) == 2 else None)
    if None in widths or max(map(int, filter(None, widths)), default=1) == 1 or sum(filter(None, widths)) != count:
        return None
    for width in filter(None, widths):
        start = places[-1].stop if places else 0
        places.append(range(start, start + width))
    return places


def block(graph: Graph, value: Any, entries: list[dict[str, Any]], places: range, notes: list[str]) -> Any:
    """Add nodes that make an input of several columns of the served matrix."""
    kind, shape = value.type.tensor_type.elem_type, shape_of(value)
    matrix = graph.columns(INPUT, list(places))
    if kind == TensorProto.STRING:
        matrix = graph.concat([texts(graph, graph.columns(INPUT, [place]), entries[place]) for place in places])
    else:
        matrix = converted(graph, matrix, kind, [entries[place] for place in places], notes)
    if shape is not None and len(shape) == 1:
        matrix = graph.node("Reshape", matrix, graph.constant(np.array([-1])))
    return rename(matrix, value.name)


def rename(name: str, to: str) -> Any:
    return helper.make_node("Identity", [name], [to])


def shown(value: Any) -> str:
    return str(value.name).removeprefix("model_")


def identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)  # as skl2onnx names inputs


def listed(shape: list[int | None]) -> str:
    return ", ".join("any" if each is None else str(each) for each in shape)


def converted(graph: Graph, name: str, kind: int, entries: list[dict[str, Any]], notes: list[str]) -> str:
    """Convert float32 columns to the type that the model takes; whole numbers become integers of the signature."""
    if kind == TensorProto.FLOAT:
        return name
    if kind in (*WHOLE, TensorProto.BOOL):
        for entry in entries:
            if entry.get("nullable"):
                raise PantheonError(
                    f"the model takes whole numbers, none of them missing, but {entry['name']!r} may be missing.",
                    f'Set "nullable": false for {entry["name"]!r} in the signature.',
                )
            if entry["type"] == "number":
                entry["type"] = "integer"
                notes.append(f"{entry['name']} takes whole numbers only, as the model does")
    elif kind not in FLOATS:
        raise PantheonError(
            f"the model takes {TensorProto.DataType.Name(kind)} values.", "Export it with float32 inputs."
        )
    if kind in FLOATS:
        notes.append(f"numbers as {TensorProto.DataType.Name(kind).lower()}")
    return graph.cast(name, kind)


def texts(graph: Graph, column: str, entry: dict[str, Any]) -> str:
    """Convert the codes of a category to its texts; an unknown one is an empty text.

    Raises:
        PantheonError: the input is not a category, or may be missing.
    """
    if entry["type"] != "category":
        raise PantheonError(
            f"the model takes texts for {entry['name']!r}, which is a {entry['type']} in the signature.",
            'Set "type": "category" and list its "categories".',
        )
    if entry.get("nullable"):
        raise PantheonError(
            f"the model takes texts for {entry['name']!r}, which has no missing value, but it may be missing.",
            f'Set "nullable": false for {entry["name"]!r} in the signature.',
        )
    categories = [str(each) for each in entry["categories"]]
    unknown = graph.node("IsNaN", column)
    code = graph.node("Where", unknown, graph.constant(np.array(len(categories), np.float32)), column)
    known = graph.constant(np.array([*categories, ""], dtype=object))
    return graph.node("Gather", known, graph.cast(code, TensorProto.INT64), axis=0)


def chosen_outputs(model: Any, signature: dict[str, Any]) -> tuple[Any | None, list[Any]]:
    """Return the output with labels, if any, and that with probabilities or numbers; or one for each class.

    Raises:
        PantheonError: it is not clear which.
    """
    outputs = {shown(each): each for each in model.graph.output}
    said = (signature.get("onnx") or {}).get("outputs")
    if said:
        return (outputs[said[0]] if len(said) > 1 else None), [outputs[said[-1]]]
    floats = [each for each in outputs.values() if each.type.tensor_type.elem_type in FLOATS]
    others = [each for each in outputs.values() if each.type.tensor_type.elem_type not in FLOATS]
    classes = signature["output"].get("classes") or []
    each_class = (
        len(floats) > 1 and len(floats) == len(classes) and all((shape_of(e) or [0])[1:] in ([], [1]) for e in floats)
    )
    if (len(floats) != 1 and not each_class) or len(others) > 1:
        raise PantheonError(
            f"the model has the outputs {', '.join(outputs)}: which of them to serve is not clear.",
            'Name them in the signature: "onnx": {"input": …, "outputs": [label, probabilities]}, or [number].',
        )
    return (others[0] if others else None), floats


def classify(
    graph: Graph, label: Any | None, results: list[Any], signature: dict[str, Any], classes: list[Any], notes: list[str]
) -> list[Any]:
    """Add nodes for probabilities in the signature's order and the index of the likeliest class.

    Args:
        results: the output with all probabilities, or one for each class.
    """
    result = results[0]
    if result.type.tensor_type.elem_type not in FLOATS:
        raise PantheonError(
            f"the model's output {shown(result)} has no probabilities.",
            'Export the probabilities too, such as with predict_proba, or use "task": "regression" for a number.',
        )
    shares, shape = graph.cast(result.name, TensorProto.FLOAT), shape_of(result)
    wanted = list(signature["output"].get("classes") or [])
    if len(results) > 1:
        column = graph.constant(np.array([-1, 1]))
        parts = [graph.cast(each.name, TensorProto.FLOAT) for each in results]
        shares = graph.concat([graph.node("Reshape", part, column) for part in parts])
        notes.append("the outputs of the classes as one")
    elif len(wanted) == 2 and shape is not None and (len(shape) == 1 or shape[1:] == [1]):
        second = graph.node("Reshape", shares, graph.constant(np.array([-1, 1])))
        first = graph.node("Sub", graph.constant(np.array(1, np.float32)), second)
        shares = graph.concat([first, second])
        notes.append("the probability of one class completed to both")
    order = [str(each) for each in classes]
    if classes and order != [str(each) for each in wanted] and classes != list(range(len(wanted))):
        if sorted(order) != sorted(map(str, wanted)):
            raise PantheonError(
                f"the signature's classes are {wanted}, but the model's are {classes}.",
                f"Set the classes of the signature's output to {classes}.",
            )
        shares = graph.columns(shares, [order.index(str(each)) for each in wanted])
        notes.append("classes in the signature's order")
    graph.nodes.append(rename(shares, "probabilities"))
    graph.nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(wanted)]),
    ]
    if label is None:
        return outputs
    kind = label.type.tensor_type.elem_type
    if kind == TensorProto.STRING:
        notes.append("the index of the class instead of its text")
    graph.nodes.append(helper.make_node("Reshape", [label.name, graph.constant(np.array([-1]))], [LABEL]))
    return [*outputs, helper.make_tensor_value_info(LABEL, kind, [None])]

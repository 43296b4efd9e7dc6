"""Give an ONNX model built elsewhere the form that is served: one float32 matrix in, class index and probabilities out.

Exporters write other forms by default: an input per column, double or whole-number inputs, a fixed number of rows,
texts as labels, maps as probabilities (ZipMap), newer versions of ONNX. A model that has the form stays as it is.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, version_converter

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.agreement import TIE, session
from pantheon.workflow.bundle.onnx_export import INPUT, Graph
from pantheon.workflow.bundle.versions import IR, ML_OPSET, OPSET
from serving.external.ends import FLOATS, LABEL, chosen_outputs, classify, connect_inputs, shape_of
from serving.external.samples import first_line, rows

ROWS = 200  # to compare the adapted model with the original
# Newer versions of these only take more types, which ONNX Runtime checks.
SAME = {"Cast", "Constant", "ConstantOfShape", "Flatten", "Identity", "If", "Loop", "Reshape", "Scan", "Shape", "Size"}
SAME |= {"Squeeze", "Transpose", "Unsqueeze"}
FREE_ROWS = (
    "Export it with a free number of rows, such as FloatTensorType([None, columns]) or dynamic_axes={'X': {0: 'rows'}}."
)


def adapt(model: Any, signature: dict[str, Any]) -> tuple[Any, dict[str, Any], list[str]]:
    """Return the model in the served form, the signature that fits it, and what was changed, in words.

    Args:
        model: a ModelProto that ONNX's checker accepts.

    Raises:
        PantheonError: it cannot be adapted, or the adapted model predicts something else.
    """
    model, notes = loadable(newer(model))
    if fits(model, signature):
        return model, signature, notes
    signature = copy.deepcopy(signature)
    check_fields(signature)
    if isinstance(signature.get("onnx"), dict):
        known = [signature["onnx"].get("input"), *(signature["onnx"].get("outputs") or [])]
        there = [each.name for each in (*inputs_of(model), *model.graph.output)]
        if strange := [str(name) for name in known if name not in there]:
            cause = f"the signature names the input or output {', '.join(strange)}, which the model does not have."
            raise PantheonError(cause, f'It has {", ".join(there)}. Correct "onnx" in the signature, or leave it out.')
    model, classes = tensors_only(model, notes)
    size = fixed_rows(model)
    built = build(model, signature, classes, notes, free=bool(size))
    if size:
        notes.append("any number of rows")
        compare_rows(build(model, signature, classes, [], free=False), built, signature, size)
    if signature["task"] == "classification":
        compare_labels(built, signature, classes)
        kept = [each for each in built.graph.output if each.name != LABEL]
        del built.graph.output[:]
        built.graph.output.extend(kept)
    outputs = ["label", "probabilities"] if signature["task"] == "classification" else ["variable"]
    return built, signature | {"onnx": {"input": INPUT, "outputs": outputs}}, notes or ["names"]


def newer(model: Any) -> Any:
    """Return the model with the version of ONNX that is written here, if it has one from before 2019.

    Converters of tree models mark theirs with the oldest version that has their operators.
    """
    declared = {each.domain: each.version for each in model.opset_import}
    if declared.get("", 9) >= 9:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # ONNX's errors have no common base class
        raise PantheonError(
            f"the model has opset {declared['']}, which is too old: {first_line(error)}.",
            f"Export it with opset {OPSET}.",
        ) from error


def loadable(model: Any) -> tuple[Any, list[str]]:
    """Return the model with versions of ONNX that this ONNX Runtime supports; operators must mean the same in them.

    Raises:
        PantheonError: it uses operators that are newer.
    """
    try:
        session(model)
        return model, []
    except PantheonError as error:
        before = error
    lower = copy.deepcopy(model)
    lower.ir_version = min(model.ir_version, max(IR, 10))
    declared = {each.domain: each.version for each in model.opset_import}
    del lower.opset_import[:]
    for domain, version in declared.items():
        least = {"": OPSET, "ai.onnx.ml": ML_OPSET}.get(domain, version)
        for node in nodes_of(model.graph):
            if node.domain == domain and node.op_type not in SAME and onnx.defs.has(node.op_type, domain):
                least = max(least, onnx.defs.get_schema(node.op_type, version, domain).since_version)
        lower.opset_import.append(helper.make_opsetid(domain, min(version, least)))
    try:
        session(lower)
    except PantheonError:
        if model.ir_version <= max(IR, 10) and all(v <= OPSET for domain, v in declared.items() if not domain):
            raise before from None
        versions = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in declared.items())
        raise PantheonError(
            f"the model needs a newer ONNX Runtime than this one: it has IR {model.ir_version} and opset {versions}, "
            "and its operators changed in them.",
            f"Export it with an older opset: to_onnx(model, X, target_opset={OPSET}) of skl2onnx, "
            f"or torch.onnx.export(…, opset_version={OPSET}).",
        ) from None
    return lower, ["an older ONNX version with the same operators"]


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield all nodes of a graph, also those in branches and loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def inputs_of(model: Any) -> list[Any]:
    constants = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in constants]


def fits(model: Any, signature: dict[str, Any]) -> bool:
    """Return whether the model has the served form already; checks.py examines the rest."""
    entry, inputs = signature.get("onnx"), inputs_of(model)
    if not isinstance(entry, dict) or not isinstance(entry.get("outputs"), list) or len(inputs) != 1:
        return False
    outputs = {each.name: each.type.tensor_type.elem_type for each in model.graph.output}
    shape = shape_of(inputs[0])
    wanted = [[TensorProto.INT64], [TensorProto.FLOAT]] if signature.get("task") == "classification" else [FLOATS]
    return (
        inputs[0].name == entry.get("input")
        and inputs[0].type.tensor_type.elem_type == TensorProto.FLOAT
        and not (shape is not None and len(shape) == 2 and shape[0])
        and len(entry["outputs"]) == len(wanted)
        and all(outputs.get(name) in kinds for name, kinds in zip(entry["outputs"], wanted, strict=True))
        and not (signature.get("task") == "classification" and of_other_classes(model, signature))
    )


def of_other_classes(model: Any, signature: dict[str, Any]) -> bool:
    """Return whether the model's labels are values, such as 1, 2 and 3, where an index of the class is served."""
    known = [labels for node in model.graph.node if (labels := labels_of(node))]
    outputs = {each.name for each in model.graph.output}
    direct = any(node.output and node.output[0] in outputs and labels_of(node) for node in model.graph.node)
    return direct and bool(known) and known[-1] != list(range(len(known[-1])))


def labels_of(node: Any) -> list[Any]:
    """Return the classes that a classifier or ZipMap names, in its order."""
    for attribute in node.attribute:
        if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
            return list(attribute.ints)
        if attribute.name == "classlabels_strings" and attribute.strings:
            return [text.decode() for text in attribute.strings]
    return []


def check_fields(signature: dict[str, Any]) -> None:
    """Raise PantheonError for a signature whose inputs, task or classes cannot be read; add what has one meaning."""
    from serving.model.signature import Signature

    signature.setdefault("format", 1)
    for key, example in (("task", '"classification" or "regression"'), ("inputs", "a list"), ("output", "an object")):
        if key not in signature:
            raise PantheonError(f'the signature has no "{key}".', f'Add "{key}": {example}.')
    for entry in signature["inputs"] if isinstance(signature["inputs"], list) else []:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind not in ("number", "integer", "boolean", "category", "date"):
            name = entry.get("name") if isinstance(entry, dict) else entry
            cause = f"the signature's input {name!r} has the type {kind!r}."
            raise PantheonError(cause, "Use number, integer, boolean, category (with its categories) or date.")
    try:
        Signature(signature)
    except Exception as error:  # a malformed signature can cause any error
        raise PantheonError(f"the signature cannot be served: {first_line(error)}") from error


def tensors_only(model: Any, notes: list[str]) -> tuple[Any, list[Any]]:
    """Return the model with tensors as outputs instead of maps and sequences, and its classes in their order."""
    classes = [labels for node in model.graph.node if (labels := labels_of(node))]
    makers = {output: node for node in model.graph.node for output in node.output}
    changed = copy.deepcopy(model)
    for output in changed.graph.output:
        node = makers.get(output.name)
        if node is not None and node.op_type == "ZipMap":
            changed.graph.node.remove(node)
            changed.graph.node.append(helper.make_node("Identity", [node.input[0]], [output.name]))
            shape = [None, len(labels_of(node))]
            output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))
            notes.append("probabilities as a matrix instead of maps")
        elif node is not None and node.op_type == "SequenceConstruct" and len(node.input) == 1:
            kind = output.type.sequence_type.elem_type
            changed.graph.node.remove(node)
            changed.graph.node.append(helper.make_node("Identity", [node.input[0]], [output.name]))
            output.type.CopyFrom(kind)
            notes.append("a tensor instead of a sequence with one")
        elif output.type.WhichOneof("value") != "tensor_type":
            raise PantheonError(
                f"the model's output {output.name} is not a tensor.",
                "Export it without ZipMap: to_onnx(model, X, options={'zipmap': False}).",
            )
    return changed, classes[-1] if classes else []


def fixed_rows(model: Any) -> int:
    """Return the number of rows that the inputs fix; 0 if it is free."""
    sizes = {(shape_of(each) or [None])[0] for each in inputs_of(model)}
    return next((size for size in sizes if size), 0)


def freed(model: Any) -> Any:
    made = copy.deepcopy(model)
    for value in (*made.graph.input, *made.graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and tensor.shape.dim:
            tensor.shape.dim[0].Clear()
    del made.graph.value_info[:]
    return made


def build(model: Any, signature: dict[str, Any], classes: list[Any], notes: list[str], free: bool) -> Any:
    """Wrap the model in a graph with the served input and outputs, and for classes the original label.

    Raises:
        PantheonError: inputs or outputs do not match the signature.
    """
    inner = compose.add_prefix(freed(model) if free else model, "model_")
    graph, width = Graph(), len(signature["inputs"])
    inputs = connect_inputs(graph, inputs_of(inner), signature, notes)
    after = Graph("after_")
    label, results = chosen_outputs(inner, signature)
    if signature["task"] == "classification":
        outputs = classify(after, label, results, signature, classes, notes)
    else:
        after.nodes.append(
            helper.make_node(
                "Reshape",
                [after.cast(results[0].name, TensorProto.FLOAT), after.constant(np.array([-1, 1]))],
                ["variable"],
            )
        )
        outputs = [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])]
    made = helper.make_graph(
        [*graph.nodes, *inputs, *inner.graph.node, *after.nodes],
        "pantheon",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        outputs,
        [*graph.constants, *inner.graph.initializer, *after.constants],
    )
    made.sparse_initializer.extend(inner.graph.sparse_initializer)
    opsets = {each.domain: each.version for each in inner.opset_import}
    opsets.setdefault("", OPSET)
    whole = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        functions=list(inner.functions),
        ir_version=max(inner.ir_version, IR),
        producer_name="pantheon",
    )
    try:
        onnx.checker.check_model(whole)
    except Exception as error:  # ONNX's errors have no common base class
        raise PantheonError(
            f"the model cannot be adapted: {first_line(error)}.", f"Export it with opset {OPSET}."
        ) from error
    return whole


def ask(model: Any, X: NDArray[np.float32], size: int) -> list[NDArray[Any]]:
    """Predict in batches of ``size`` rows; return the outputs."""
    opened = session(model)
    try:
        parts = [opened.run(None, {INPUT: X[i : i + size]}) for i in range(0, len(X), size)]
        return [np.concatenate([np.atleast_1d(part) for part in each]) for each in zip(*parts, strict=True)]
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise PantheonError(f"the adapted model fails for values of the signature: {first_line(error)}") from error


def compare_rows(fixed: Any, free: Any, signature: dict[str, Any], size: int) -> None:
    """Raise PantheonError if the model predicts something else for more rows than it was exported for."""
    X = rows(signature["inputs"], max(1, ROWS // size) * size)
    one = ask(fixed, X, size)
    try:
        many = ask(free, X, len(X))
        same = all(
            a.shape == b.shape
            and (np.allclose(a, b, atol=1e-5, equal_nan=True) if a.dtype.kind == "f" else (a == b).all())
            for a, b in zip(one, many, strict=True)
        )
    except PantheonError:
        same = False
    if not same:
        raise PantheonError(f"the model takes {size} row{'' if size == 1 else 's'} only, in its nodes too.", FREE_ROWS)


def compare_labels(model: Any, signature: dict[str, Any], classes: list[Any]) -> None:
    """Raise PantheonError if the model's own labels are not its likeliest classes."""
    if LABEL not in [each.name for each in model.graph.output]:
        return
    X = rows(signature["inputs"], ROWS)
    index, shares, labels = ask(model, X, len(X))
    wanted = signature["output"]["classes"]
    labels = labels.reshape(-1)
    top = np.sort(shares, axis=1)
    clear = top[:, -1] - top[:, -2] > TIE
    by_value = [str(a) == str(wanted[i]) for a, i in zip(labels, index, strict=True)]
    by_place = [str(a) == str(i) for a, i in zip(labels, index, strict=True)]
    if np.array(by_value)[clear].all() or np.array(by_place)[clear].all():
        return
    row = int(np.flatnonzero(clear & ~np.array(by_value))[0])
    raise PantheonError(
        f"the model's label ({str(labels[row])!r}) is not its likeliest class ({wanted[index[row]]!r}).",
        f"Give the signature's classes in the order of the model's probabilities{f': {classes}' if classes else ''}.",
    )

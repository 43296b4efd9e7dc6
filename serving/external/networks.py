"""Convert a model of TensorFlow or Keras to ONNX: a SavedModel, or a file of Keras."""

import os
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import onnx
import tensorflow
import tf2onnx
from tensorflow.core.protobuf import saved_model_pb2

from pantheon.errors import PantheonError
from pantheon.workflow.bundle.versions import OPSET
from serving.external.converted import Converted
from serving.external.samples import ROWS, first_line, mixed

# Operations that touch files or run Python when a SavedModel is called; loading and saving weights are others.
OUTSIDE = {"ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "PyFuncStateless", "WholeFileReader"}
OUTSIDE |= {"WholeFileReaderV2", "TFRecordReader", "TFRecordReaderV2", "TextLineReader", "TextLineReaderV2"}
EXPORT = "Export it to ONNX where it was trained, and publish that with a signature."
LARGEST = 500_000_000  # bytes of an unpacked SavedModel


def keras_file(path: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Convert a file of Keras (``.keras`` or ``.h5``).

    Args:
        signature: what its inputs and output are; None: worked out from its shapes.
        file: what people call it.

    Raises:
        PantheonError: it cannot be loaded without code of its author, or is not converted.
    """
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises any error
        raise PantheonError(
            f"{file} cannot be loaded by Keras {keras.__version__}: {unloadable(error)}", EXPORT
        ) from error
    specs = [tensorflow.TensorSpec(each.shape, each.dtype, name=identifier(each.name)) for each in model.inputs]

    def call(*tensors: Any) -> Any:
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    return converted(call, specs, signature, name, file, ("Keras", ["keras", "tensorflow", "tf2onnx", "onnx"]))


def saved_model(folder: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Convert a SavedModel; arguments and errors as for ``keras_file``."""
    check_operations(folder, file)
    try:
        loaded = tensorflow.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises any error
        raise PantheonError(
            f"{file} cannot be loaded by TensorFlow {tensorflow.__version__}: {first_line(error)}.", EXPORT
        ) from error
    found = dict(loaded.signatures)
    if not found:
        raise PantheonError(
            f"{file} is a SavedModel without signatures, so what it takes is unknown.",
            "Save it with one: model.export(folder) in Keras, or tf.saved_model.save(model, folder, signatures=…).",
        )
    chosen = found.get("serving_default") or next(iter(found.values()))
    takes = chosen.structured_input_signature[1]
    specs = [tensorflow.TensorSpec(each.shape, each.dtype, name=key) for key, each in takes.items()]

    def call(*tensors: Any) -> Any:
        return chosen(**dict(zip(takes, tensors, strict=True)))

    return converted(call, specs, signature, name, file, ("TensorFlow", ["tensorflow", "tf2onnx", "onnx"]))


def zipped(path: Path, signature: dict[str, Any] | None, name: str, file: str) -> Converted:
    """Convert a SavedModel in a zip archive, at its top or in a folder; arguments and errors as for ``keras_file``."""
    folder = path.with_name("unpacked")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(each.file_size for each in archive.infolist()) > LARGEST:
                raise PantheonError(f"{file} has more than {LARGEST / 1e6:.0f} MB when it is unpacked.")
            archive.extractall(folder)  # never outside of the folder
    except zipfile.BadZipFile as error:
        raise PantheonError(f"{file} is not a zip archive: {error}.", "Give the SavedModel's folder.") from error
    tops = [each.parent for each in sorted(folder.rglob("saved_model.pb"))]
    if not tops:
        raise PantheonError(f"{file} has no saved_model.pb.", "Zip the folder that contains saved_model.pb.")
    return saved_model(tops[0], signature, name, file)


def check_operations(folder: Path, file: str) -> None:
    """Raise PantheonError for a SavedModel that is damaged, or that uses files or Python when it is called."""
    content = saved_model_pb2.SavedModel()
    try:
        content.ParseFromString((folder / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's errors depend on its implementation
        raise PantheonError(
            f"the saved_model.pb of {file} is damaged: {first_line(error)}.", "Save it again."
        ) from error
    for graph in content.meta_graphs:
        nodes = [*graph.graph_def.node, *(n for each in graph.graph_def.library.function for n in each.node_def)]
        if found := sorted({each.op for each in nodes} & OUTSIDE):
            raise PantheonError(
                f"{file} uses files or Python code while it predicts ({', '.join(found)}), which ONNX cannot.",
                "Save the model without these steps.",
            )


def converted(
    call: Callable[..., Any],
    specs: list[Any],
    signature: dict[str, Any] | None,
    name: str,
    file: str,
    origin: tuple[str, list[str]],
) -> Converted:
    """Convert a function of tensors, and ask it about rows; ``origin`` is the format and the packages."""
    widths = [width_of(each, file) for each in specs]

    def one(*tensors: Any) -> Any:
        found = call(*tensors)
        found = list(found.values()) if isinstance(found, dict) else found
        if isinstance(found, (list, tuple)):
            if len(found) != 1:
                raise PantheonError(
                    f"{file} has {len(found)} outputs; one is served.", "Save a model with the one that matters."
                )
            found = found[0]
        return tensorflow.identity(found, name="result")

    function = tensorflow.function(one, input_signature=specs)
    try:
        made, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
        keep_constants(made, function.get_concrete_function())
    except PantheonError:
        raise
    except Exception as error:  # converters can raise any error
        raise PantheonError(f"{file} cannot be converted to ONNX: {unsupported(error)}.", EXPORT, 1) from error
    check_domains(made, file)
    signature = signature or derived(made, specs, widths, name, file)
    if len(signature.get("inputs") or []) != sum(widths):
        raise PantheonError(f"the model has {sum(widths)} inputs, but the signature has another number.")
    X = mixed(signature["inputs"], ROWS)
    answer = np.asarray(function(*tensors_of(X, signature["inputs"], specs, widths)), dtype=np.float64)
    return Converted(origin[0], made.SerializeToString(), signature, X, as_expected(answer, signature), origin[1])


def keep_constants(made: Any, function: Any) -> None:
    """Make constants of the function, such as those of a Normalization layer, constants of the ONNX model."""
    inputs = {each.name: each for each in made.graph.input}
    for value, place in function.graph.captures:
        if place.name in inputs and value.dtype != tensorflow.resource:
            made.graph.input.remove(inputs[place.name])
            made.graph.initializer.append(onnx.numpy_helper.from_array(value.numpy(), place.name))


def width_of(spec: Any, file: str) -> int:
    """Return how many columns an input has.

    Raises:
        PantheonError: it is not a table's.
    """
    shape = list(spec.shape) if spec.shape.rank is not None else [None]
    if len(shape) == 1:
        return 1
    if len(shape) != 2 or not shape[1]:
        listed = ", ".join("any" if each is None else str(each) for each in shape)
        raise PantheonError(
            f"{file} takes [{listed}] as {spec.name}: only tables are served, a row per prediction.",
            "Save a model that takes [any, columns], such as with a Reshape layer at its beginning.",
        )
    return int(shape[1])


def derived(made: Any, specs: list[Any], widths: list[int], name: str, file: str) -> dict[str, Any]:
    """Create a signature of the shapes, and of the activation at the end."""
    inputs = []
    for spec, width in zip(specs, widths, strict=True):
        if spec.dtype == tensorflow.string:
            raise PantheonError(
                f"{file} takes texts as {spec.name}, and does not say which.",
                'Add --signature signature.json with "type": "category" and its "categories".',
            )
        kind = "boolean" if spec.dtype == tensorflow.bool else "integer" if spec.dtype.is_integer else "number"
        entry = {"type": kind, "nullable": False, "example": kind != "boolean" and 0}
        single = width == 1 and len(specs) > 1
        names = [spec.name] if single else [f"{spec.name if len(specs) > 1 else 'x'}{i}" for i in range(1, width + 1)]
        inputs += [{"name": each, **entry} for each in names]
    end, count = activation(made), last_width(made)
    if end == "Softmax" or (end == "Sigmoid" and count == 1):
        classes = list(range(max(2, count)))
        output = {"name": "class", "type": "category", "classes": classes, "labels": {str(c): str(c) for c in classes}}
        return {"format": 1, "name": name, "task": "classification", "inputs": inputs, "output": output}
    if count != 1:
        raise PantheonError(
            f"{file} answers with {count} numbers a row that are not probabilities of classes.",
            "End it with the activation softmax for classes, or with one number.",
        )
    output = {"name": "value", "type": "number", "unit": ""}
    return {"format": 1, "name": name, "task": "regression", "inputs": inputs, "output": output}


def activation(made: Any) -> str:
    """Return the operation that computes the output, apart from those that only pass it on."""
    makers = {output: node for node in made.graph.node for output in node.output}
    node = makers.get(made.graph.output[0].name)
    while node is not None and node.op_type in ("Identity", "Reshape", "Cast", "Squeeze"):
        node = makers.get(node.input[0])
    return node.op_type if node is not None else ""


def last_width(made: Any) -> int:
    shape = made.graph.output[0].type.tensor_type.shape.dim
    return shape[1].dim_value if len(shape) == 2 else 1 if len(shape) < 2 else 0


def tensors_of(X: Any, inputs: list[dict[str, Any]], specs: list[Any], widths: list[int]) -> list[Any]:
    """Return encoded rows as the model's inputs."""
    tensors, start = [], 0
    for spec, width in zip(specs, widths, strict=True):
        part, entries = X[:, start : start + width], inputs[start : start + width]
        start += width
        if spec.dtype == tensorflow.string:
            texts = [[*map(str, entry.get("categories") or []), ""] for entry in entries]
            codes = np.where(np.isfinite(part), part, -1).astype(int)
            part = np.array([[texts[j][code] for j, code in enumerate(row)] for row in codes], dtype=object)
        part = part[:, 0] if spec.shape.rank == 1 else part
        tensors.append(
            tensorflow.constant(part) if spec.dtype == tensorflow.string else tensorflow.cast(part, spec.dtype)
        )
    return tensors


def as_expected(answer: Any, signature: dict[str, Any]) -> Any:
    """Return what the original answers: probabilities of all classes, or one number a row."""
    if signature.get("task") != "classification":
        return answer.reshape(len(answer), -1)[:, 0]
    shares = answer.reshape(len(answer), -1)
    return np.concatenate([1 - shares, shares], axis=1) if shares.shape[1] == 1 else shares


def check_domains(made: Any, file: str) -> None:
    """Raise PantheonError for operations that are not part of ONNX itself."""
    nodes = made.graph.node
    strange = {node.op_type for node in nodes if node.domain not in ("", "ai.onnx", "ai.onnx.ml")}
    strange |= {node.op_type for node in nodes if not node.domain and not onnx.defs.has(node.op_type)}
    if strange:
        what = f"there is no converter for {listed(strange)}"
        raise PantheonError(f"{file} cannot be converted to ONNX: {what}.", EXPORT, 1)


def listed(operations: Iterable[str]) -> str:
    """Return operations in words; those of text layers are named as people know them."""
    names = {"StringLookup and other layers that look up texts" if "Lookup" in o else o for o in operations}
    return ", ".join(sorted(names))


def unloadable(error: Exception) -> str:
    """Return why Keras cannot load a file, as a sentence."""
    text = str(error)
    if missing := re.search(
        r"Could not locate (?:class|function) '([^']+)'|Unknown (?:layer|object): '?([\w>]+)", text
    ):
        what = missing[1] or missing[2]
        return f"its layer or function {what} is code of its author, which the file does not contain."
    if "Lambda" in text and ("safe" in text or "unsafe" in text or "arbitrary" in text):
        return "a Lambda layer in it is Python code, which is not run here."
    if "No model config found" in text:
        return "it contains weights only, without the layers."
    return first_line(error).rstrip(".") + "."


def unsupported(error: Exception) -> str:
    """Return why tf2onnx failed; operations without a converter are named."""
    names = re.findall(r"Tensorflow op \[[^:\]]+: (\w+)\] is not supported", str(error))
    names += re.findall(r"Unsupported ops?: Counter\(\{(.*?)\}\)", str(error))
    return f"there is no converter for {listed(names)}" if names else first_line(error).rstrip(".")


def identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)

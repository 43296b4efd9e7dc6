"""Models that need long, or never end, for some rows: ONNX graphs with a Loop."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from tests.support.bundles import bundle

ENDLESS_ABOVE = 50.0  # of the first input: the Loop does not end


def endless(folder: Path, above: float = ENDLESS_ABOVE, swelling: bool = False) -> Path:
    """The bundle of a regression of robots that loops for ever for a row with a first input greater than ``above``.

    Args:
        swelling: every turn doubles a tensor, so that it needs all memory instead.
    """
    bundle(folder, None, "regression")
    grow = ["Concat", ["carried", "carried"]] if swelling else ["Identity", ["carried"]]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["go_on"]),
            helper.make_node(grow[0], grow[1], ["carry"], **({"axis": 0} if swelling else {})),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carry", TensorProto.FLOAT, [None, 1]),
        ],
    )
    nodes = [
        helper.make_node("Gather", ["features", "first"], ["each"], axis=1),
        helper.make_node("ReduceMax", ["each"], ["most"], axes=[0, 1], keepdims=0),
        helper.make_node("Greater", ["most", "above"], ["endless"]),
        helper.make_node("Loop", ["", "endless", "each"], ["variable"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "endless",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(np.array(above, dtype=np.float32), "above"),
            numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(made, str(folder / "model.onnx"))
    return folder

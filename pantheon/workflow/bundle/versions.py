"""The versions of ONNX that bundles have."""

OPSET, ML_OPSET, IR = 18, 3, 8

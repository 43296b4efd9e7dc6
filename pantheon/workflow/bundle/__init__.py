"""The model bundle: ONNX graph, model card, lineage."""

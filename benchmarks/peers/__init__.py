"""Adapters that serve the same ONNX model with other servers. Each runs in an environment of its own."""

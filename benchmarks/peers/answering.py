"""Shared by the peers' adapters: encode the rows of the robots with as little work as possible, and predict."""

import json
from pathlib import Path

import numpy as np
import onnxruntime


class Robots:
    """The bundle's model: no checks of the input, one thread as in the button."""

    def __init__(self, bundle):
        signature = json.loads((Path(bundle) / "signature.json").read_text())
        battery = next(each for each in signature["inputs"] if each["name"] == "battery")
        self.places = {name: float(place) for place, name in enumerate(battery["categories"])}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(Path(bundle) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.input, self.output = signature["onnx"]["input"], signature["onnx"]["outputs"][0]

    def rows(self, rows):
        """Predictions for objects."""
        places = self.places
        encoded = [(float(r["robot-age"]), float(r["rust-level"]), places[r["battery"]]) for r in rows]
        return self.run(np.array(encoded, dtype=np.float32))

    def columns(self, age, rust, battery):
        """Predictions for columns; ``battery`` is text."""
        places = [self.places[name] for name in battery]
        return self.run(np.column_stack((age, rust, places)).astype(np.float32))

    def run(self, features):
        return self.session.run([self.output], {self.input: features})[0]

"""In the environment ``oracles``: print shap's values of one row of the function that the test explains.

Reads {"x": [number, ...], "background": [[number, ...], ...]} from standard input; prints {"values", "base"}.
"""

import json
import sys

import numpy as np
import shap

asked = json.load(sys.stdin)


def crossed(X):
    """The function ``crossed`` of tests/parts/serving/test_explained_beside_shap.py."""
    return X[:, 0] * X[:, 1] + np.sin(X[:, 2]) * (X[:, 0] + X[:, 1])


background = np.array(asked["background"], float)
explained = shap.explainers.Exact(crossed, shap.maskers.Independent(background, max_samples=len(background)))
found = explained(np.array([asked["x"]], float))
json.dump({"values": found.values[0].tolist(), "base": float(np.ravel(found.base_values)[0])}, sys.stdout)

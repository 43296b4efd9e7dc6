"""What the button is measured against, on the same server (cheroot) with its own defaults.

    python serving_by_hand.py empty PORT
    python serving_by_hand.py pipeline PORT train.parquet metrics.json

``empty`` answers a constant: what the server itself costs. ``pipeline`` is what people write: the scikit-learn pipeline
of the same family and parameters as the served model, called on a pandas DataFrame made of the payload.
"""

import json
import sys
from pathlib import Path

from cheroot.wsgi import Server


def empty(environ, start_response):
    data = b'{"prediction": [0]}'
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def fit(train, metrics):
    import pandas as pd
    import polars as pl
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    families = {
        "linear": LogisticRegression,
        "random_forest": RandomForestClassifier,
        "hist_gradient_boosting": HistGradientBoostingClassifier,
    }
    names = ["robot-age", "rust-level", "battery"]
    rows = pl.read_parquet(train).select([*names, "condition"])
    frame = pd.DataFrame({name: rows[name].to_list() for name in names})
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), names[:2]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), names[2:]),
    )
    model = families[metrics["chosen"]](**metrics["params"])
    return make_pipeline(prepare, model).fit(frame, rows["condition"].to_list()), pd.DataFrame, names


def pipeline(train, metrics):
    model, frame, names = fit(train, json.loads(Path(metrics).read_text()))

    def app(environ, start_response):
        payload = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))["payload"]
        rows = frame(payload, columns=names).astype({"robot-age": float, "rust-level": float})
        data = json.dumps({"prediction": model.predict(rows).tolist()}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]

    return app


if __name__ == "__main__":
    kind, port, *files = sys.argv[1:]
    server = Server(("127.0.0.1", int(port)), empty if kind == "empty" else pipeline(*files), numthreads=16)
    server.start()

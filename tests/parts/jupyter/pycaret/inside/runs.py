"""Runs in PyCaret's environment: runs of the variant by its functions, one after another in one process.

Argument: a JSON list of {"spec", "trials", "include", "setup", "stored": with a feature store}. The last line is JSON:
the runs' folders.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from pantheon import notebook, pycaret, worker
from pantheon.errors import PantheonError
from pantheon.features.stages import Stages
from pantheon.workflow.run import Params, Run
from tests.support.feature_store import MemoryFeatures

state, found, store = Path(os.environ["STATE_DIR"]), [], MemoryFeatures()
for asked in json.loads(sys.argv[1]):
    run = Run.create(state, asked["spec"], "asked", Params(trials=asked["trials"], folds=3), runner="graph")
    error, hook = "", Stages(lambda: store) if asked.get("stored") else None
    worker.hook = lambda _, hook=hook: hook  # as where a deployment has the store, or not
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for stage in notebook.ETL:
                notebook.stage(run, stage)
            pycaret.stage(run, "feature_engineering")
            pycaret.stage(run, "feature_selection", **asked.get("setup", {}))
            pycaret.stage(run, "train", include=asked["include"])
            pycaret.stage(run, "model_selection")
            pycaret.stage(run, "hyperparameter_tuning", families=1 if asked["trials"] > 1 else 0)
            pycaret.stage(run, "evaluate")
            notebook.stage(run, "performance_metrics")
            notebook.stage(run, "model_comparison")
        except PantheonError as problem:
            error = str(problem)
    found.append([str(run.folder), error])
print(json.dumps(found))

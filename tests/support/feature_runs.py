"""Runs that use a feature store, up to ``train``: the models' fits are left out."""

from pathlib import Path
from typing import Any

import polars as pl

from pantheon.features.stages import Stages
from pantheon.workflow import graph
from pantheon.workflow.data.spec import Spec
from pantheon.workflow.data.spec_file import dump_spec
from pantheon.workflow.graph import Other
from pantheon.workflow.run import Params, Run
from tests.support.feature_store import MemoryFeatures

UNTIL_TRAIN = [name for name in graph.GRAPH if name in graph.wanted("train")]


class Deployment:
    """Runs in one state folder.

    Args:
        spec: of the runs that name no other one.
        features: the feature store; a new one in memory, if none is given.
    """

    def __init__(self, state: Path, spec: Spec, features: Any = None) -> None:
        self.state, self.spec = state, spec
        self.features = features or MemoryFeatures()
        (state / "data").mkdir(parents=True)
        (state / "extensions").mkdir()

    def run(self, frame: pl.DataFrame | None = None, spec: Spec | None = None, trained: bool = True) -> Run:
        """Write the spec's file, and make a run of it."""
        spec = spec or self.spec
        if frame is not None:
            frame.write_csv(self.state / "data" / spec.source.path)
        run = Run.create(self.state, dump_spec(spec), spec.name, Params(folds=2))
        return self.resume(run) if trained else run

    def resume(self, run: Run) -> Run:
        """Run the stages that are not done."""
        hook = Stages(lambda: self.features)
        for name in UNTIL_TRAIN:
            if name not in graph.finished(run):
                other = Other("", lambda run: {}) if name == "train" else None
                graph.run_stage(name, run, None, other=other, hook=hook)
        return run

"""Targets over several orders of magnitude."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pantheon.store import FolderStore
from pantheon.workflow.data.spec import Target
from tests.support.training import FEW, MakeRun, everything, toy_frame, toy_spec


def test_a_long_tail_is_learnt_by_its_logarithm_and_judged_by_the_median(make_run: MakeRun, store: FolderStore) -> None:
    """Over five orders of magnitude, the logarithm is a straight line that trees of the numbers themselves miss."""
    random = np.random.default_rng(0)
    age = random.uniform(0, 40, 600)
    frame = toy_frame(600, regression=True).with_columns(
        age=pl.Series(age), broken=pl.Series(np.exp(0.3 * age + random.normal(0, 0.3, 600)))
    )
    columns = tuple(replace(c, type="number") if c.role == "target" else c for c in toy_spec().columns)
    spec = toy_spec(task="regression", target=Target("broken"), columns=columns)
    run = make_run(spec, frame, replace(FEW, metric="mae"))
    outcome = everything(run, store)
    metrics = json.loads(run.path("metrics.json").read_text())
    assert outcome["decision"] == "promoted"
    assert metrics["chosen"].startswith("log_")
    test = pl.read_parquet(run.path("data/test.parquet"))["broken"]
    middle = pl.read_parquet(run.path("data/train.parquet"))["broken"].median()
    assert metrics["baseline"]["mae"] == pytest.approx((test - middle).abs().mean())

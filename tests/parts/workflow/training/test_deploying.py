"""Deploying: which model becomes the champion, what it is compared with, and what the page serves then."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pantheon.files import read_json, write_json
from pantheon.state import served, set_served
from pantheon.store import FolderStore
from pantheon.workflow.run import Ordered
from tests.support.training import MakeRun, Trained, deployed, everything, stages, toy_frame, toy_spec


def test_a_repeated_run_is_as_good_and_a_worse_one_is_refused(
    make_run: MakeRun, trained: Trained, store: FolderStore
) -> None:
    assert deployed(trained(), store)["decision"] == "promoted"
    again = deployed(trained(), store)
    assert again["decision"] == "promoted"
    assert "as good as the deployed version 1" in again["reason"]
    frame = toy_frame()
    spoilt = frame.with_columns(age=pl.lit(None, pl.Float64), battery=pl.lit("low"), town=pl.lit("town 1"))
    held_out = pl.Series(np.arange(len(frame)) // 3 % 5 == 0)
    run = make_run(frame=spoilt)
    frame.filter(held_out).write_parquet(run.path("data/test.parquet"))
    worse = everything(run, store)
    assert worse["decision"] == "refused", worse
    assert store.resolve("machines").version == "2"


def test_an_order_does_not_change_which_model_the_page_serves(trained: Trained, store: FolderStore) -> None:
    order = dict.fromkeys(Ordered.__annotations__, "any") | {"by": "ann"}
    run = trained()
    set_served(run.state, "sales")
    write_json(run.path("order.json"), order)
    assert deployed(run, store)["decision"] == "promoted"
    assert served(run.state) == "sales"
    run.path("order.json").unlink()
    deployed(run, store)
    assert served(run.state) == "machines"


def test_the_first_model_of_a_deployment_is_served_even_if_it_was_ordered(trained: Trained, store: FolderStore) -> None:
    run = trained()
    write_json(run.path("order.json"), dict.fromkeys(Ordered.__annotations__, "any"))
    deployed(run, store)
    assert served(run.state) == "machines"


def test_a_deployed_model_predicts_with_columns_matched_by_name(
    make_run: MakeRun, trained: Trained, store: FolderStore
) -> None:
    deployed(trained(), store)
    spec = toy_spec()
    turned = replace(
        spec,
        columns=tuple(
            replace(column, categories=column.categories[::-1]) if column.name == "battery" else column
            for column in (spec.columns[0], *spec.columns[1:-1][::-1], spec.columns[-1])
        ),
    )
    run = make_run(turned)
    everything(run, store)
    compared = read_json(run.path("comparison.json"))["deployed"]
    assert compared["comparable"], compared
    assert compared["other"] == pytest.approx(compared["model"], abs=0.02)


def test_a_deployed_model_with_other_columns_is_not_compared(
    make_run: MakeRun, trained: Trained, store: FolderStore
) -> None:
    deployed(trained(), store)
    spec = toy_spec()
    run = make_run(replace(spec, columns=tuple(column for column in spec.columns if column.name != "age")))
    outcome = everything(run, store)
    assert outcome["decision"] == "promoted"
    assert "not comparable with the deployed version 1" in outcome["reason"]
    assert "'age'" in outcome["reason"]


def test_approval_leaves_a_challenger(trained: Trained, store: FolderStore) -> None:
    deployed(trained(), store)
    outcome = deployed(trained(approval="required"), store)
    assert outcome["decision"] == "challenger"
    assert store.resolve("machines").version == "1"
    assert store.resolve("machines", "challenger").version == "2"
    assert store.approve("machines", by="ada").version == "2"


class Faster(FolderStore):
    """A store in which another process promotes a version just before our swap."""

    def __init__(self, root: Path, other: str) -> None:
        super().__init__(root)
        self.other: str | None = other

    def swap(self, name: str, version: str, alias: str, **how: Any) -> bool:
        if self.other and alias == "champion":
            other, self.other = self.other, None
            assert super().swap(name, other, alias, expected="*", by="somebody else")
        return super().swap(name, version, alias, **how)


def test_a_champion_that_changes_meanwhile_is_compared_before_promotion(trained: Trained, store: FolderStore) -> None:
    deployed(trained(), store)
    deployed(trained(), store)
    store.promote("machines", "1")
    run = trained()
    racing = Faster(store.root, other="2")
    stages(run, "model_comparison", store=racing)
    assert read_json(run.path("comparison.json"))["deployed"]["version"] == "1"
    outcome = stages(run, "deploy", store=racing)["deploy"]
    assert "version 2" in outcome["reason"], "compared again, with the one that was faster"
    alias = store.resolve("machines")
    assert (alias.version, alias.previous) == ("3", "2")


def test_two_deploys_at_once_both_finish_and_one_follows_the_other(trained: Trained, store: FolderStore) -> None:
    runs = [trained(), trained()]
    for run in runs:
        stages(run, "model_comparison", store=store)
    threads = [threading.Thread(target=stages, args=(run, "deploy"), kwargs={"store": store}) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = sorted((read_json(run.path("outcome.json")) for run in runs), key=lambda outcome: outcome["version"])
    assert [outcome["decision"] for outcome in outcomes] == ["promoted", "promoted"]
    assert "no model was deployed before" in outcomes[0]["reason"]
    assert "as good as the deployed version 1" in outcomes[1]["reason"]
    assert store.resolve("machines").previous == "1"


def test_a_damaged_champion_does_not_stop_a_good_model(trained: Trained, store: FolderStore) -> None:
    deployed(trained(), store)
    (store.root / "machines" / "1" / "model.onnx").write_bytes(b"flipped")
    outcome = deployed(trained(), store)
    assert outcome["decision"] == "promoted"
    assert "checksum does not match" in outcome["reason"]


def test_a_repeated_deploy_makes_a_new_version(trained: Trained, store: FolderStore) -> None:
    run = trained()
    assert deployed(run, store)["version"] == "1"
    assert stages(run, "deploy", store=store)["deploy"]["version"] == "2"

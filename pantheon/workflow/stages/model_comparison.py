"""model_comparison: compare the chosen model with the baseline, the other candidates and the deployed model."""

from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from pantheon.errors import PantheonError
from pantheon.files import read_json, write_json
from pantheon.workflow import cancellation
from pantheon.workflow.bundle.agreement import predict, session
from pantheon.workflow.bundle.lineage import split_of
from pantheon.workflow.bundle.onnx_export import export
from pantheon.workflow.bundle.records import Signature
from pantheon.workflow.model_store import ModelStore
from pantheon.workflow.outputs import CHOSEN, CHOSEN_ONNX, Comparison, Deployed, Difference, Preprocessed, Summary
from pantheon.workflow.run import Run, read_as
from pantheon.workflow.stages.evaluate import chosen_model
from pantheon.workflow.training.candidates import BASELINE
from pantheon.workflow.training.encoding import Floats, matrix
from pantheon.workflow.training.gate import RESAMPLES, chance, difference, judge
from pantheon.workflow.training.matrix import Table, load_spec
from pantheon.workflow.training.metrics import Doubles, primary
from pantheon.workflow.training.origins import origins_of


class Comparer:
    """The predictions of a run's models for the held-out rows, and their comparison with others."""

    def __init__(self, run: Run) -> None:
        self.run, self.spec, params = run, load_spec(run), run.params
        self.metric, self.greater = primary(self.spec.task, params.metric)
        with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
            self.answers: dict[str, Doubles] = {name: file[name] for name in file.files}
        self.y = self.answers.pop("y")
        self.test = Table.load(run.need("features/test.npz", "preprocess"))
        self.inputs = run.read("features/preprocess.json", "preprocess", Preprocessed)["inputs"]
        self.seed = params.seed

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The held-out rows with their original values."""
        return pl.read_parquet(self.run.need("data/test.parquet", "split_data"))

    def with_answer(self, other: Doubles, resamples: int = RESAMPLES) -> Difference:
        return self.difference(self.answers[CHOSEN], other, resamples)

    def difference(self, ours: Doubles, other: Doubles, resamples: int = RESAMPLES) -> Difference:
        return difference(
            self.metric,
            self.greater,
            self.y,
            ours,
            other,
            groups=self.test.groups,
            positive=self.spec.positive_index,
            seed=self.seed,
            resamples=resamples,
        )

    def chance(self) -> float:
        positive = self.spec.positive_index
        return chance(self.metric, self.greater, self.y, self.answers[CHOSEN], positive, self.seed)

    def with_deployed(self, store: ModelStore) -> Deployed | None:
        """Compare with the champion of the same name; None if there is no champion.

        Its ONNX graph predicts this run's held-out rows, with inputs matched by name.
        """
        champion = store.alias(self.spec.name, "champion")
        if champion is None:
            return None
        folder = store.get(self.spec.name, champion.version)
        X, why = self._as_inputs_of(read_as(folder / "signature.json", Signature))
        if X is None:
            return {"version": champion.version, "comparable": False, "why": why}
        theirs = predict(session(folder / "model.onnx"), X)
        compared = self.difference(self.as_served(), theirs)  # both graphs: their rounding is the same
        if compared["gain"] is None:
            why = "the held-out rows belong to one class only"
            return {"version": champion.version, "comparable": False, "why": why}
        found: Deployed = {
            "version": champion.version,
            "comparable": True,
            "why": "",
            "model": compared["model"],
            "other": compared["other"],
            "gain": compared["gain"],
            "margin": compared["margin"],
        }
        if split := self._other_split(folder):
            found["split"] = split
        if (metric := _metric_of(folder)) not in ("", self.metric):
            found["metric"] = metric
        return found

    def as_served(self) -> Doubles:
        """Predict the held-out rows with the model as it will be served: with its ONNX graph."""
        if self.run.path(CHOSEN_ONNX).exists():
            return self.answers[CHOSEN]
        return predict(session(export(chosen_model(self.run))), self.test.X)

    def _other_split(self, folder: Path) -> str:
        """Describe the split of a version, as part of a sentence, if it differs from today's; else return ""."""
        path = folder / "lineage.json"
        theirs, ours = read_json(path).get("split") if path.exists() else None, split_of(self.run, self.spec)
        if theirs is None:  # published from elsewhere, or by a Pantheon that divided copies
            return "its rows were split without keeping copies together" if ours["together"] else ""
        if theirs == ours:
            return ""
        by = f"by {theirs['by']} of {theirs['column']!r}" if theirs["column"] else f"by {theirs['by']}"
        copies = ", copies together" if theirs["together"] else ""
        return f"its rows were split otherwise ({by}, {theirs['share']:.0%} held out{copies})"

    def _as_inputs_of(self, signature: Signature) -> tuple[Floats | None, str]:
        """Return the held-out rows in the layout of another signature, or why that is impossible."""
        if signature["task"] != self.spec.task:
            return None, f"its task is {signature['task']}"
        if self.spec.task == "classification" and signature["output"]["classes"] != list(self.spec.target.classes):
            return None, "it has other classes"
        if signature["output"]["name"] != self.spec.target.column:
            return None, f"it predicts {signature['output']['name']!r}"
        ours = {entry["name"]: (place, entry) for place, entry in enumerate(self.inputs)}
        columns = []
        for wanted in signature["inputs"]:
            place, entry = ours.get(wanted["name"], (0, None))
            if entry is None:
                return None, f"it needs the column {wanted['name']!r}, which this data does not have"
            if entry["type"] != wanted["type"] and {entry["type"], wanted["type"]} != {"number", "integer"}:
                return None, f"{wanted['name']!r} is of type {wanted['type']} in it, and of type {entry['type']} here"
            values = self.test.X[:, place]
            if entry.get("origin") != wanted.get("origin"):
                values = matrix(self.frame, [self.spec.column(entry["name"])], origins_of([wanted]))[:, 0]
            if entry["type"] == "category":
                position = {name: float(index) for index, name in enumerate(wanted["categories"])}
                table = np.array([position.get(name, np.nan) for name in entry["categories"]] + [np.nan], np.float32)
                values = table[np.where(np.isnan(values), len(table) - 1, values).astype(np.int64)]
            columns.append(values)
        return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32), ""

    def all(self, store: ModelStore) -> Comparison:
        others: dict[str, Difference] = {}
        for name, answer in self.answers.items():
            cancellation.check()
            if name not in (CHOSEN, BASELINE):
                others[name] = self.with_answer(answer, resamples=50)
        try:
            deployed = self.with_deployed(store)
        except PantheonError as error:  # the deployed version is damaged: a good model must still replace it
            deployed = {"version": _version(store, self.spec.name), "comparable": False, "why": error.cause}
        return {
            "metric": self.metric,
            "greater_is_better": self.greater,
            "rows": len(self.y),
            "baseline": {**self.with_answer(self.answers[BASELINE]), "chance": self.chance()},
            "candidates": others,
            "deployed": deployed,
        }


def _metric_of(folder: Path) -> str:
    """Return the metric that a version was chosen by; "" if unknown."""
    path = folder / "metrics.json"
    primary = read_json(path).get("primary") if path.exists() else None
    return str(primary.get("name", "")) if isinstance(primary, dict) else ""


def _version(store: ModelStore, name: str) -> str | None:
    champion = store.alias(name, "champion")
    return champion.version if champion else None


def model_comparison(run: Run, store: ModelStore) -> Summary:
    """``evaluation/*`` and the store's champion → ``comparison.json``."""
    result = Comparer(run).all(store)
    decision, reason = judge(result, run.params.approval)
    result["preview"] = {"decision": decision, "reason": reason}
    write_json(run.path("comparison.json"), result)
    deployed = result["deployed"]
    return {
        result["metric"]: _round(result["baseline"]["model"]),
        "baseline": _round(result["baseline"]["other"]),
        "deployed": _round(deployed.get("other")) if deployed and deployed["comparable"] else None,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

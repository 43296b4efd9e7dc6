"""model_comparison: the chosen model against the baseline, the other candidates and the model that is deployed now."""

from typing import Any

import numpy as np

from pantheon.errors import PantheonError
from pantheon.workflow import interrupt
from pantheon.workflow.agreement import ask, session
from pantheon.workflow.candidates import BASELINE
from pantheon.workflow.evaluate import CHOSEN
from pantheon.workflow.gate import RESAMPLES, chance, difference, judge
from pantheon.workflow.matrix import Floats, Table, load_spec
from pantheon.workflow.metrics import Doubles, primary
from pantheon.workflow.performance_metrics import positive_index
from pantheon.workflow.registry import ModelStore
from pantheon.workflow.run import Run, read_json, write_json


class Comparison:
    """What a run's models answered to the held-out rows, ready to be compared with others."""

    def __init__(self, run: Run) -> None:
        self.run, self.spec, params = run, load_spec(run), run.params
        self.metric, self.greater = primary(self.spec.task, params.metric)
        with np.load(run.need("evaluation/test.npz", "evaluate")) as file:
            self.answers: dict[str, Doubles] = {name: file[name] for name in file.files}
        self.y = self.answers.pop("y")
        self.test = Table.load(run.need("features/test.npz", "preprocess"))
        self.inputs = read_json(run.need("features/preprocess.json", "preprocess"))["inputs"]
        self.seed = params.seed

    def with_answer(self, other: Doubles, resamples: int = RESAMPLES) -> dict[str, Any]:
        found = difference(
            self.metric,
            self.greater,
            self.y,
            self.answers[CHOSEN],
            other,
            groups=self.test.groups,
            positive=positive_index(self.spec),
            seed=self.seed,
            resamples=resamples,
        )
        return found.as_dict()

    def chance(self) -> float:
        positive = positive_index(self.spec)
        return chance(self.metric, self.greater, self.y, self.answers[CHOSEN], positive, self.seed)

    def with_deployed(self, store: ModelStore) -> dict[str, Any] | None:
        """The comparison with the champion of the same name; None when there is none.

        Its ONNX graph is asked about this run's held-out rows, with inputs matched by name.
        """
        champion = store.alias(self.spec.name, "champion")
        if champion is None:
            return None
        folder = store.get(self.spec.name, champion.version)
        found: dict[str, Any] = {"version": champion.version, "comparable": False, "why": ""}
        signature = read_json(folder / "signature.json")
        X, found["why"] = self._as_inputs_of(signature)
        if X is None:
            return found
        compared = self.with_answer(ask(session(folder / "model.onnx"), X))
        if compared["gain"] is None:
            return found | {"why": "the held-out rows are of one class only"}
        return found | {"comparable": True} | compared

    def _as_inputs_of(self, signature: dict[str, Any]) -> tuple[Floats | None, str]:
        """The held-out rows as another signature has them, or why that cannot be."""
        if signature["task"] != self.spec.task:
            return None, f"it does {signature['task']}"
        if self.spec.task == "classification" and signature["output"]["classes"] != list(self.spec.target.classes):
            return None, "its classes are others"
        if signature["output"]["name"] != self.spec.target.column:
            return None, f"it predicts {signature['output']['name']!r}"
        ours = {entry["name"]: (place, entry) for place, entry in enumerate(self.inputs)}
        columns = []
        for wanted in signature["inputs"]:
            place, entry = ours.get(wanted["name"], (0, None))
            if entry is None:
                return None, f"it needs the column {wanted['name']!r}, which this data does not have"
            if entry["type"] != wanted["type"] and {entry["type"], wanted["type"]} != {"number", "integer"}:
                return None, f"{wanted['name']!r} is a {wanted['type']} there and a {entry['type']} here"
            values = self.test.X[:, place]
            if entry["type"] == "category":
                position = {name: float(index) for index, name in enumerate(wanted["categories"])}
                table = np.array([position.get(name, np.nan) for name in entry["categories"]] + [np.nan], np.float32)
                values = table[np.where(np.isnan(values), len(table) - 1, values).astype(np.int64)]
            columns.append(values)
        return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32), ""

    def all(self, store: ModelStore) -> dict[str, Any]:
        others = {}
        for name, answer in self.answers.items():
            interrupt.check()
            if name not in (CHOSEN, BASELINE):
                others[name] = self.with_answer(answer, resamples=50)
        try:
            deployed = self.with_deployed(store)
        except (
            PantheonError
        ) as error:  # what is deployed is damaged: all the more reason to let a good model replace it
            deployed = {"version": _version(store, self.spec.name), "comparable": False, "why": error.cause}
        return {
            "metric": self.metric,
            "greater_is_better": self.greater,
            "rows": len(self.y),
            "baseline": self.with_answer(self.answers[BASELINE]) | {"chance": self.chance()},
            "candidates": others,
            "deployed": deployed,
        }


def _version(store: ModelStore, name: str) -> str | None:
    champion = store.alias(name, "champion")
    return champion.version if champion else None


def model_comparison(run: Run, store: ModelStore) -> dict[str, Any]:
    """``evaluation/*`` and the store's champion → ``comparison.json``."""
    found = Comparison(run).all(store)
    decision, reason = judge(found, run.params.approval)
    write_json(run.path("comparison.json"), found | {"preview": {"decision": decision, "reason": reason}})
    deployed = found["deployed"]
    return {
        found["metric"]: _round(found["baseline"]["model"]),
        "baseline": _round(found["baseline"]["other"]),
        "deployed": _round(deployed["other"]) if deployed and deployed["comparable"] else None,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

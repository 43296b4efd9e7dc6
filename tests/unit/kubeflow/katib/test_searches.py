"""Searches: every algorithm stays within bounds, steps and choices, repeats with its seed, and is restored."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantheon.errors import PantheonError
from pantheon.kubeflow.katib import journal
from pantheon.kubeflow.katib.algorithms import ALGORITHMS, Settings
from pantheon.kubeflow.katib.gaussian import Gaussian
from pantheon.kubeflow.katib.hyperband import Hyperband
from pantheon.kubeflow.katib.sampled import Sampled
from pantheon.kubeflow.katib.search import Search
from pantheon.kubeflow.katib.space import Parameter, combination, combinations, parameters

SPACE: list[dict[str, Any]] = [
    {"name": "a", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.7", "step": "0.1"}},
    {"name": "b", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9"}},
    {"name": "c", "parameterType": "categorical", "feasibleSpace": {"list": ["p", "q", "r"]}},
    {"name": "d", "parameterType": "discrete", "feasibleSpace": {"list": ["0.5", "2"]}},
]
FEW = {"n_startup_trials": 2, "r_l": 4.0, "eta": 2, "resource_name": "b"}
QUICK = {"n_initial_points": 2, "acq_func": "EI", "acq_optimizer": "sampling"}  # of Gaussian processes


def settings_of(name: str) -> Settings:
    return {key: value for key, value in (FEW | QUICK).items() if key in ALGORITHMS[name]}


def numbers(low: float, high: float) -> st.SearchStrategy[str]:
    return st.decimals(Decimal(str(low)), Decimal(str(high)), places=3).map(str)


@st.composite
def spaces(draw: st.DrawFn, grid: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for index in range(draw(st.integers(2, 4))):
        kind = draw(st.sampled_from(["double", "int", "categorical"])) if index > 1 else ("double", "int")[index]
        space: dict[str, Any]
        if kind == "categorical":
            space = {"list": draw(st.lists(st.sampled_from("pqrst"), min_size=1, unique=True))}
        elif kind == "int":
            low = draw(st.integers(-20, 20))
            space = {"min": str(low), "max": str(low + draw(st.integers(0, 12)))}
            if draw(st.booleans()):
                space["step"] = str(draw(st.integers(1, 5)))
        else:
            space = {"min": draw(numbers(-3, 3)), "max": draw(numbers(3, 9))}
            if grid or draw(st.booleans()):
                space["step"] = draw(numbers(0.5, 4))
        if kind != "categorical" and "step" not in space and Decimal(space["min"]) > 1 and draw(st.booleans()):
            space["distribution"] = "logUniform"
        found.append({"name": f"p{index}", "parameterType": kind, "feasibleSpace": space})
    return found


def fits(spec: dict[str, Any], text: str) -> bool:
    """Return whether a value is one that Katib may propose."""
    space = spec["feasibleSpace"]
    if "list" in space:
        return text in space["list"]
    value, low = Decimal(text), Decimal(space["min"])
    step = Decimal(space.get("step") or ("1" if spec["parameterType"] == "int" else "0"))
    return low <= value <= Decimal(space["max"]) and (not step or (value - low) % step == 0)


def result(values: dict[str, str]) -> float:
    return sum(len(text) + (float(text) - 1) ** 2 for text in values.values() if text[-1].isdigit())


def follow(search: Search, count: int, parallel: int = 2) -> list[dict[str, str]]:
    """Ask and tell; every fifth trial fails."""
    asked: list[dict[str, str]] = []
    running: list[int] = []
    while len(asked) < count and not search.ended:
        while len(running) < parallel and (values := search.ask()) is not None:
            running.append(len(asked))
            asked.append(values)
        if not running:
            break
        number = running.pop(0)
        search.tell(number, None if number % 5 == 4 else result(asked[number]))
    return asked


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ("bayesianoptimization", "hyperband")])
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_values_are_within_the_space(name: str, data: st.DataObject) -> None:
    specs = data.draw(spaces(name == "grid"))
    space = parameters(specs, grid=name == "grid")
    asked = follow(journal.make(name, settings_of(name), space, data.draw(st.booleans()), 7), 8)
    assert len(asked) == (min(8, combinations(space)) if name == "grid" else 8)
    for values in asked:
        assert list(values) == [spec["name"] for spec in specs]
        assert all(fits(spec, values[spec["name"]]) for spec in specs), values


@pytest.mark.parametrize("estimator", ["GP", "ET"])
def test_values_of_bayesianoptimization_are_within_the_space(estimator: str) -> None:
    specs = [
        *SPACE,
        {"name": "e", "parameterType": "double", "feasibleSpace": {"min": "3", "max": "3"}},
        {
            "name": "f",
            "parameterType": "double",
            "feasibleSpace": {"min": "0.001", "max": "1", "distribution": "logUniform"},
        },
    ]
    search = journal.make("bayesianoptimization", QUICK | {"base_estimator": estimator}, parameters(specs), True, 3)
    for values in follow(search, 5):
        assert all(fits(spec, values[spec["name"]]) for spec in specs), values


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_search_repeats_with_its_seed_and_is_restored_from_its_journal(tmp_path: Path, name: str) -> None:
    space, given = parameters(SPACE, grid=name == "grid"), settings_of(name)
    count = 5 if name == "bayesianoptimization" else 14
    expected = follow(journal.make(name, given | {}, space, True, 11), count)
    for cut in (1, count // 2):
        path = tmp_path / f"{cut}" / "search.jsonl"
        opened = journal.Journal.open(path, name, given | {"random_state": 11}, space, True)
        running: list[int] = []
        while len(opened.asked) < len(expected):
            if len(opened.asked) == cut:  # the service is killed, while it writes
                with path.open("ab") as file:
                    file.write(b'{"ask": 9')
                opened = journal.Journal.open(path, name, given | {"random_state": 11}, space, True)
            while len(running) < 2 and (proposed := opened.ask()) is not None:
                running.append(proposed[0])
            if not running:
                break
            number = running.pop(0)
            opened.tell(number, None if number % 5 == 4 else result(opened.asked[number]))
            opened.tell(number, 0.0)  # a second time: ignored
        assert opened.asked[: len(expected)] == expected


def test_without_a_seed_one_is_drawn_once(tmp_path: Path) -> None:
    space = parameters(SPACE)
    first, second = (journal.Journal.open(tmp_path / name, "random", {}, space, True) for name in "ab")
    asked = [[each.ask() for _ in range(4)] for each in (first, second)]
    assert asked[0] != asked[1]
    again = journal.Journal.open(tmp_path / "a", "random", {}, space, True)
    assert [again.ask() for _ in range(4)] == [
        (number + 4, values)
        for number, values in enumerate([first.ask()[1] for _ in range(4)])  # type: ignore[index]
    ]


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    path.write_text('{"seed": 1}\nnot json\n')
    with pytest.raises(PantheonError, match=r"search\.jsonl is damaged"):
        journal.Journal.open(path, "random", {}, parameters(SPACE), True)
    path.write_text('{"seed": 1}\n{"ask": 0, "values": {"a": "0.2", "b": "1", "c": "p", "d": "2"}}\n')
    with pytest.raises(PantheonError, match="cannot be continued"):
        journal.Journal.open(path, "random", {}, parameters(SPACE), True)


def test_grid_proposes_every_combination_once() -> None:
    space = parameters(SPACE, grid=True)
    asked = follow(Sampled("grid", {}, space, True, 5), 1000)
    assert len(asked) == combinations(space) == 7 * 9 * 3 * 2
    assert {tuple(values.values()) for values in asked} == {
        tuple(combination(space, index).values()) for index in range(combinations(space))
    }
    assert {values["a"] for values in asked} == {"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"}


def test_tpe_proposes_what_a_study_of_optuna_proposes() -> None:
    specs = [
        {
            "name": "a",
            "parameterType": "double",
            "feasibleSpace": {"min": "0.001", "max": "100.0", "distribution": "logUniform"},
        },
        *SPACE[1:3],
    ]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=42, n_startup_trials=3))
    search = Sampled("tpe", {"n_startup_trials": 3}, parameters(specs), True, 42)
    for number in range(12):
        trial, values = study.ask(), search.ask()
        expected = {
            "a": repr(trial.suggest_float("a", 0.001, 100.0, log=True)),
            "b": str(trial.suggest_int("b", 1, 9)),
            "c": trial.suggest_categorical("c", ["p", "q", "r"]),
        }
        assert values == expected
        value = math.sin(float(expected["a"])) + int(expected["b"])
        study.tell(trial, value)
        search.tell(number, value)


@pytest.mark.parametrize("name", ["tpe", "multivariate-tpe", "cmaes", "bayesianoptimization"])
def test_a_search_that_learns_is_better_than_a_random_one(name: str) -> None:
    specs = [{"name": n, "parameterType": "double", "feasibleSpace": {"min": "-5", "max": "5"}} for n in "xyz"]
    space, count = parameters(specs), 14 if name == "bayesianoptimization" else 60

    def best(search: Search) -> float:
        found = []
        for number in range(count):
            values = search.ask()
            assert values
            found.append(sum((float(each) - 2) ** 2 for each in values.values()))
            search.tell(number, found[-1])
        return min(found)

    given = QUICK | {"n_initial_points": 6} if name == "bayesianoptimization" else {}
    drawn = sorted(best(Sampled("random", {}, space, False, seed)) for seed in range(9))
    assert best(journal.make(name, given, space, False, 0)) < drawn[4], "than half of nine random searches"


def test_cmaes_restarts_with_a_larger_population() -> None:
    specs = [{"name": n, "parameterType": "double", "feasibleSpace": {"min": "-5", "max": "5"}} for n in "xy"]
    for strategy, grows in (("ipop", True), ("bipop", True), ("none", False)):
        search: Any = journal.make("cmaes", {"restart_strategy": strategy}, parameters(specs), False, 1)
        sizes = set()
        for number in range(700):
            values = search.ask()
            search.tell(number, sum(float(each) ** 2 for each in values.values()))
            sizes.add(search.optimizer.population_size)
        assert (max(sizes) > search.population) == grows, strategy


def test_hyperband_repeats_the_best_of_a_rung_with_more_of_the_resource() -> None:
    space = parameters([{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}, SPACE[1]])
    search = Hyperband({"r_l": 9.0, "eta": 3, "resource_name": "b"}, space, True, 4)
    asked: list[dict[str, str]] = []
    rungs: list[list[int]] = []
    while not search.ended:
        rung = []
        while (values := search.ask()) is not None:
            rung.append(len(asked))
            asked.append(values)
        assert rung, "a rung follows when the one before has all its results"
        for number in rung:
            search.tell(number, None if number == 0 else float(asked[number]["x"]))
        rungs.append(rung)
    assert [len(rung) for rung in rungs] == [9, 3, 1, 5, 2, 3]
    assert [{asked[number]["b"] for number in rung} for rung in rungs] == [{"1"}, {"3"}, {"9"}, {"3"}, {"9"}, {"9"}]
    first = sorted((asked[number]["x"] for number in rungs[0][1:]), key=float)
    assert [asked[number]["x"] for number in rungs[1]] == first[::-1][:3], "the failed one is the worst"
    assert search.ask() is None


def test_parallel_trials_of_bayesianoptimization_differ() -> None:
    space = parameters([{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}])
    search = Gaussian(QUICK, space, False, 2)
    for number in range(2):
        values = search.ask()
        assert values
        search.tell(number, float(values["x"]))
    first, second = search.ask(), search.ask()
    assert first and second and first != second


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999999, 1.0])
def test_a_share_of_the_range_is_a_value(share: float) -> None:
    for parameter in (
        Parameter("a", "int", Decimal(1), Decimal(9), Decimal(1)),
        Parameter("a", "int", Decimal(1), Decimal(9), Decimal(4)),
        Parameter("a", "int", Decimal(1), Decimal(9), Decimal(1), True),
        Parameter("a", "double", Decimal("0.1"), Decimal(9), None, True),
    ):
        value = Decimal(parameter.of_unit(share))
        assert parameter.low <= value <= parameter.high
        assert share not in (0.0, 1.0) or abs(value - (parameter.high if share else parameter.low)) < Decimal("1e-9")

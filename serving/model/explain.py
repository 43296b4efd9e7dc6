"""Explain predictions: what each input adds to the output, compared with typical inputs.

These are interventional Shapley values (Lundberg and Lee 2017; Janzing et al. 2020): the value of a set of inputs is
the mean output if those have the row's values and the others the values of the background's rows. Up to ``EXACT``
inputs that differ, all sets are computed. Above, the sum along random orders of the inputs is taken, each order also
reversed ("antithetic", Mitchell et al. 2022), with orders of its own for every background row. In both ways the values
and the base add up to the output.
"""

from collections.abc import Sequence
from functools import cache
from math import factorial
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.model.background import Background, load
from serving.model.predictor import SECONDS, Predictor, TooSlow
from serving.model.words import sentence
from serving.problems import Problem

EXACT = 8  # inputs; 2**8 sets
EVALUATIONS = 6000  # of the model for one row, about, above EXACT inputs
PAIRS = 64  # of an order and its reverse for one background row, at most
VALUES = 2_000_000  # numbers that are given to the model at a time: 8 MB

Floats = npt.NDArray[np.float64]
Inputs = npt.NDArray[np.float32]


class _Output:
    """The number that is explained: the probability of one class (column), or the predicted number."""

    def __init__(self, predictor: Predictor, deadline: float) -> None:
        self.predictor, self.deadline = predictor, deadline

    def __call__(self, features: Inputs, column: int) -> Floats:
        """float32 (rows, inputs) → float64 (rows,); raises Problem, TooSlow."""
        step = max(1, VALUES // max(features.shape[1], len(self.predictor.signature.classes)))
        parts = []
        for i in range(0, len(features), step):
            if monotonic() > self.deadline:  # one call is stopped at the deadline, many short ones are not
                raise TooSlow(self.predictor.version)
            parts.append(self.predictor.scores(features[i : i + step], self.deadline)[:, column])
        values = np.concatenate(parts)
        if not np.isfinite(values).all():
            raise Problem(
                422, "This row cannot be explained: mixed with typical values, the model's answer is infinite."
            )
        return values


def explain(
    predictor: Predictor,
    rows: Sequence[dict[str, Any]],
    deadline: float | None = None,
    *,
    background: Background | None = None,
    exact: int = EXACT,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return an explanation for each row.

    Args:
        rows: JSON objects.
        background: None: the bundle's, or made from its signature.
        exact: the largest number of inputs for which all sets are computed (at most 12 is sensible).
        seed: of the orders; the same seed gives the same explanation.
        deadline: on the clock of ``time.monotonic``, for all rows; None: in ``SECONDS``.

    Returns:
        Per row ``base`` (mean output of the background), ``output``, ``of`` (label of the predicted class, whose
        probability this is, or the target's name), ``features`` ({"name", "value" as sent, "shapley"}, the largest
        first), ``exact`` (whether all sets were computed), ``background`` (where it comes from) and ``words``.

    Raises:
        Problem: 422, as ``Predictor.predict``, or the row cannot be explained; 503, the bundle's background is damaged.
        TooSlow: it was not done at the deadline.
    """
    signature = predictor.signature
    matrix = signature.encode(rows)
    output = _Output(predictor, monotonic() + SECONDS if deadline is None else deadline)
    try:
        background = background or load(predictor.folder, signature)
    except (OSError, ValueError) as error:
        raise Problem(503, f"Predictions of version {predictor.version} cannot be explained: {error}.") from None
    found = []
    for row, x in zip(rows, matrix, strict=True):
        column = 0
        if signature.classes:  # the class that is predicted need not have the highest probability
            column = signature.classes.index(predictor.predict([row], False, output.deadline).prediction[0])
        base, values, all_sets = _shapley(output, column, x, background.rows, exact, seed)
        order = np.argsort(-np.abs(values), kind="stable")
        each: dict[str, Any] = {
            "base": base,
            "output": base + float(values.sum()),
            "of": signature.label(signature.classes[column]) if signature.classes else str(signature.output["name"]),
            "features": [
                {"name": (name := signature.fields[i].name), "value": row.get(name), "shapley": float(values[i])}
                for i in order
            ],
            "exact": all_sets,
            "background": background.source,
        }
        found.append(each | {"words": sentence(each, signature)})
    return found


def _shapley(
    output: _Output, column: int, x: Inputs, background: Inputs, exact: int, seed: int
) -> tuple[float, Floats, bool]:
    """Return the base, the Shapley values float64 (inputs,), and whether they are exact."""
    values = np.zeros(len(x))
    same = (background == x) | (np.isnan(background) & np.isnan(x))
    players = np.flatnonzero(~same.all(axis=0))  # the others add nothing, whatever the model
    if not len(players):
        return float(output(background, column).mean()), values, True
    if len(players) <= exact:
        base, values[players] = _all_sets(output, column, x, background, players)
        return base, values, True
    base, values[players] = _orders(output, column, x, background, players, seed)
    return base, values, False


def _all_sets(
    output: _Output, column: int, x: Inputs, background: Inputs, players: npt.NDArray[np.int64]
) -> tuple[float, Floats]:
    sets, without, weights = _sets(len(players))
    mixed = np.repeat(background[None], len(sets), axis=0)  # (sets, background, inputs)
    mixed[:, :, players] = np.where(sets[:, None, :], x[players], mixed[:, :, players])
    worth = output(mixed.reshape(-1, len(x)), column).reshape(len(sets), -1).mean(axis=1)
    # differences first: an input that changes nothing has exactly 0
    added = worth[without + (1 << np.arange(len(players)))[:, None]] - worth[without]
    return float(worth[0]), (added * weights).sum(axis=1)


@cache
def _sets(players: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], Floats]:
    """Return all sets of players.

    Returns:
        bool (sets, players), the empty set first, the full one last; for every player, the positions of the sets
        without it, int64 (players, sets / 2); and their weights, of the same shape: the share of all orders in which
        just these are before the player.
    """
    every = np.arange(2**players)
    sets = (every[:, None] >> np.arange(players)) & 1 == 1
    without = np.array([every[~sets[:, player]] for player in range(players)])
    share = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
    return sets, without, share[sets.sum(axis=1)[without]]


def _orders(
    output: _Output, column: int, x: Inputs, background: Inputs, players: npt.NDArray[np.int64], seed: int
) -> tuple[float, Floats]:
    many, rows = len(players), len(background)
    pairs = min(PAIRS, max(1, EVALUATIONS // (2 * rows * (many - 1))))
    random = np.random.default_rng(seed)
    ends = output(np.concatenate([background, x[None, :]]), column)
    total = np.zeros(many)
    for b in range(rows):
        first = random.permuted(np.tile(np.arange(many), (pairs, 1)), axis=1)
        order = np.concatenate([first, first[:, ::-1]])  # (orders, players)
        place = np.argsort(order, axis=1)
        joined = place[:, None, :] < np.arange(1, many)[None, :, None]  # (orders, steps between the ends, players)
        mixed = np.repeat(background[b][None], len(order) * (many - 1), axis=0)
        mixed[:, players] = np.where(joined.reshape(-1, many), x[players], background[b][players])
        between = output(mixed, column).reshape(len(order), many - 1)
        path = np.column_stack([np.full(len(order), ends[b]), between, np.full(len(order), ends[-1])])
        np.add.at(total, order, np.diff(path, axis=1))
        total_orders = rows * len(order)
    return float(ends[:-1].mean()), total / total_orders

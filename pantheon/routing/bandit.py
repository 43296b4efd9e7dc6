"""Thompson sampling between versions, by what users say about their answers.

A version's chance to be right has the posterior Beta(1 + right, 1 + wrong) (uniform prior). Thompson's rule gives a
version a request with the probability that it is the best (Thompson 1933, Biometrika 25; Chapelle & Li 2011, NIPS 24).
Instead of drawing for each request, this probability is computed when there is new feedback, and the requests are
divided by it: the same rule, with feedback in batches. Each version keeps a least share: it can still prove itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pantheon.routing.policy import FLOOR
from pantheon.routing.rewards import Counts

DRAWS = 40_000  # the error of a probability is below 0.25 percentage points (one sigma)
SEED = 12  # the same counts give the same shares, in every process


def posterior(counts: Counts) -> dict[str, tuple[int, int]]:
    """Return the parameters (a, b) of each version's Beta posterior."""
    return {version: (1 + right, 1 + wrong) for version, (right, wrong) in counts.items()}


def chances(parameters: Sequence[tuple[int, int]]) -> list[float]:
    """Return the probability of each version to be the best, given its posterior; the sum is 1."""
    a, b = np.array(parameters, dtype=float).T
    drawn = np.random.default_rng(SEED).beta(a, b, size=(DRAWS, len(parameters)))
    best = np.bincount(drawn.argmax(axis=1), minlength=len(parameters))
    return [float(count) / DRAWS for count in best]


def shares(versions: Mapping[str, str], counts: Counts, floor: float = FLOOR) -> dict[str, float]:
    """Return the share of the traffic of each arm; the sum is 1.

    Args:
        versions: the number of the version that each arm is now.
        counts: by version; one that is missing has no feedback.
        floor: the least share of an arm.
    """
    beliefs = posterior({version: counts.get(version, (0, 0)) for version in versions.values()})
    found = chances([beliefs[version] for version in versions.values()])
    rest = 1 - floor * len(versions)
    return {arm: floor + rest * chance for arm, chance in zip(versions, found, strict=True)}

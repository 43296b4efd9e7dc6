"""What follows from users' feedback in the prediction log: a bandit's shares, and whether a challenger is better.

``python -m pantheon.judged STATE_DIR`` gives all bandits their shares once, and prints ``{"changed": [model, …]}``, or
``{"cause", "cure"}`` of an error: the service ``predictions`` starts it (``pantheon.predictions.learning``).
"""

import json
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError, describe
from pantheon.predictions.place import open_place, spool_of
from pantheon.predictions.read import predictions
from pantheon.routing import operations, policy, rewards
from pantheon.routing.choose import BANDIT
from pantheon.routing.policy import CHAMPION
from pantheon.routing.rewards import CHANCE, Counts
from pantheon.store import Damaged, ModelStore, open_store
from pantheon.store.records import is_version


def counts(state: Path, model: str, since: str = "", reasons: Collection[str] = CHANCE) -> Counts:
    """Count how many answers of each version users called right and wrong.

    Args:
        state: the deployment's state folder.
        since: only answers from this time on (ISO 8601); empty: all.
        reasons: see ``rewards.counts``.

    Raises:
        PantheonError: the log cannot be read.
    """
    spool = spool_of(state)
    log = predictions(
        open_place(state),
        spool if spool.is_dir() else None,
        model=model,
        since=datetime.fromisoformat(since) if since else None,
        shadow=False,
        columns=rewards.COLUMNS,
    )
    return rewards.counts(log, reasons)


def learn(state: Path, store: ModelStore) -> list[str]:
    """Give all bandits the shares that follow from the feedback; return the models whose shares changed.

    Raises:
        PantheonError: the store or the log does not answer.
    """
    changed = []
    for model in store.names():
        try:
            stored = store.policy(model)
            bandit = policy.read(stored, model).bandit if stored else None
        except Damaged:  # the champion answers, and `route show` says why
            continue
        if bandit and operations.learn(store, model, counts(state, model, bandit.since, [BANDIT])):
            changed.append(model)
    return changed


def test(state: Path, store: ModelStore, model: str, challenger: str = "challenger") -> dict[str, Any]:
    """Test a version or an alias against the champion, by the answers since both are what they are.

    Returns:
        ``pantheon.routing.sequential.Comparison`` as a JSON object, and ``since``.

    Raises:
        PantheonError: there is no such version, or the store or the log does not answer.
    """
    began = [store.resolve(model, CHAMPION).since]
    if is_version(challenger):
        began.append(store.describe(model, challenger).created)
    else:
        began.append(store.resolve(model, challenger).since)
    since = max(began, key=datetime.fromisoformat)
    return {**operations.recommend(store, model, counts(state, model, since), challenger), "since": since}


def main(state: Path) -> int:
    """Let all bandits of a deployment learn; print what was done."""
    done: dict[str, Any]
    try:
        done, status = {"changed": learn(state, open_store(state))}, 0
    except OSError as error:
        failed = describe(error)
        done, status = {"cause": failed.cause, "cure": failed.cure}, failed.status
    except PantheonError as error:
        done, status = {"cause": error.cause, "cure": error.cure}, error.status
    print(json.dumps(done))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

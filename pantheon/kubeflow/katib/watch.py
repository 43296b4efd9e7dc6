"""How an Experiment's thread hears of its trials, and how it has them stopped. Both are in the same process."""

import threading

_lock = threading.Lock()
_bells: dict[tuple[str, str], threading.Event] = {}
_killed: dict[str, str] = {}


def bell(namespace: str, experiment: str) -> threading.Event:
    """Return what is set when a trial of an Experiment changes."""
    with _lock:
        return _bells.setdefault((namespace, experiment), threading.Event())


def ring(namespace: str, experiment: str) -> None:
    """Say that a trial of an Experiment has changed."""
    bell(namespace, experiment).set()


def kill(uid: str, why: str) -> None:
    """Have a trial stopped."""
    with _lock:
        _killed[uid] = why


def killed(uid: str) -> str:
    """Return why a trial is to be stopped; empty: it is not."""
    with _lock:
        return _killed.get(uid, "")


def forget(uid: str) -> None:
    """Forget a trial that has ended."""
    with _lock:
        _killed.pop(uid, None)


def silence(namespace: str, experiment: str) -> None:
    """Forget an Experiment that has ended."""
    with _lock:
        _bells.pop((namespace, experiment), None)

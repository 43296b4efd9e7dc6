"""Who may send a request: API keys and their rate limits. A changed file of keys takes effect without a restart."""

import math
import sys
import threading
from collections import deque
from pathlib import Path
from time import monotonic

from pantheon import keys
from pantheon.errors import PantheonError
from pantheon.keys import Key, Keyring, Kind
from pantheon.web.server import Request
from serving.problems import Problem

WINDOW_SECONDS = 60.0
CURES: dict[Kind, str] = {
    "metrics": "`bin/pantheon keys add NAME --metrics` makes one that is.",
    "push": "`bin/pantheon keys add NAME --push` makes one that is.",
}
_CHALLENGE = (("www-authenticate", 'Bearer realm="pantheon"'),)
_Stamp = tuple[int, int, int] | None


class Rates:
    """Counts the requests of each key in the last 60 seconds. Thread-safe."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, key: Key, now: float) -> float:
        """Count a request of ``key``.

        Args:
            now: monotonic seconds.

        Returns:
            0, or, if the limit is reached, the seconds until the next request is allowed; then nothing is counted.
        """
        if not key.per_minute:
            return 0.0
        with self._lock:
            taken = self._taken.get(key.name)
            if taken is None or taken.maxlen != key.per_minute:
                taken = self._taken[key.name] = deque(taken or (), key.per_minute)
            if len(taken) == key.per_minute and (wait := taken[0] + WINDOW_SECONDS - now) > 0:
                return wait
            taken.append(now)
            return 0.0

    def forget_others(self, names: frozenset[str]) -> None:
        """Forget the requests of keys that were revoked."""
        with self._lock:
            self._taken = {name: taken for name, taken in self._taken.items() if name in names}


class Keys:
    """The keys of the deployment, as they are now.

    Args:
        state: the deployment's state folder.
        services: a folder with the tokens of the deployment's own services.

    Attributes:
        problem: why the file of keys could not be read, so that the keys from before still count; empty if it could.
    """

    def __init__(self, state: Path, services: Path) -> None:
        self._state, self._services = state, services
        self._stamp: tuple[_Stamp, _Stamp] | None = None
        self.ring, self.rates, self.problem = Keyring(), Rates(), ""

    def refresh(self) -> None:
        """Read the keys again if a file has changed."""
        stamp = _stamp(keys.keys_file(self._state)), _stamp(self._services)
        if stamp == self._stamp:
            return
        try:
            given = {key.name: key for key in keys.service_keys(self._services)}
            added = {key.name: key for key in keys.read(self._state)}
        except (PantheonError, OSError, ValueError) as error:
            if self.problem != str(error):
                print(f"endpoint: the API keys cannot be read: {error}", file=sys.stderr, flush=True)
            self.problem = str(error)
            return
        self.ring = Keyring((added | given).values())  # a service keeps its key, whatever name a user chooses
        self.rates.forget_others(frozenset(self.ring.keys))
        self.problem, self._stamp = "", stamp

    def of(self, request: Request) -> Key:
        """Return the key of a request.

        Raises:
            Problem: 401, there is none, or it is not known.
        """
        scheme, _, token = request.header("authorization").partition(" ")
        if not token:
            cure = "Send Authorization: Bearer KEY; `bin/pantheon keys add NAME` makes a key."
            raise Problem(
                401, f"This needs an API key. {cure}", expected="Authorization: Bearer KEY", headers=_CHALLENGE
            )
        key = self.ring.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Problem(401, "This API key is not known, or was revoked.", headers=_CHALLENGE)
        return key

    def scoped(self, request: Request, model: str = "") -> Key:
        """Return the key of a request for predictions.

        Args:
            model: what it asks; empty: nothing of one model.

        Raises:
            Problem: 401 as ``of``; 403, the key is for something else.
        """
        key = self.of(request)
        if key.kind != "predict":
            raise Problem(403, f'The API key "{key.name}" is only for /{key.kind}.')
        if model and not key.opens(model):
            raise Problem(403, f'The API key "{key.name}" is not for the model "{model}".', got=model)
        return key

    def count(self, key: Key) -> None:
        """Count a request; raises Problem 429 if the key has reached its limit."""
        if wait := self.rates.take(key, monotonic()):
            seconds = max(1, math.ceil(wait))
            limit = f"at most {key.per_minute:,} requests a minute"
            why = f'The API key "{key.name}" has reached its limit of {key.per_minute:,} requests a minute.'
            raise Problem(429, why, expected=limit, headers=(("retry-after", str(seconds)),))

    def need(self, request: Request, model: str = "") -> Key:
        """Return the key of a request, and count it; raises as ``scoped`` and ``count``."""
        key = self.scoped(request, model)
        self.count(key)
        return key

    def need_metrics(self, request: Request) -> None:
        """Raise Problem 401 or 403 if the request may not read the metrics."""
        self._need_kind(request, "metrics")

    def need_push(self, request: Request) -> None:
        """Raise Problem 401, 403 or 429 if the request may not push features; count it."""
        self.count(self._need_kind(request, "push"))

    def _need_kind(self, request: Request, kind: Kind) -> Key:
        key = self.of(request)
        if key.kind != kind:
            raise Problem(403, f'The API key "{key.name}" is not for /{kind}. {CURES[kind]}')
        return key


def _stamp(path: Path) -> _Stamp:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size

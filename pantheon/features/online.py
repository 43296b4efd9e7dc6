"""The online store: the newest values of each entity, in Valkey, in the format of Feast's store ``redis``.

An entity is a hash: for each feature a field with a protobuf ``Value``, and for each view a field ``_ts:VIEW`` with the
event time. Feast's own writer skips a row with the same event time, so that a correction would not arrive, and two of
its writers at once can leave the older value. So rows are written by a script that Valkey runs as one step: the newest
event time wins, then the newest created time, which is kept in a field ``_both:VIEW`` that Feast ignores.

Which parts are online is remembered beside the rows: if Valkey loses the rows, it loses this, too.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from feast.infra.online_stores.helpers import _mmh3, _redis_key, _redis_key_prefix
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from pantheon.errors import PantheonError
from pantheon.features.contract import PROJECT, View

MICROSECONDS = 1_000_000  # in a second
VALUES = {"number": "double_val", "integer": "int64_val", "text": "string_val", "boolean": "bool_val"}
VALUES["date"] = "unix_timestamp_val"  # seconds
AT_ONCE = 2000  # values that the script writes in one step, in about 2 ms: readers wait for it
REWRITE_SECONDS = 120.0  # for rewriting Valkey's file
GENERATION = b"features:generation"  # changes when Valkey has lost its data
SCRIPT = Path(__file__).with_name("online.lua").read_text(encoding="utf-8")
MARK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local gone = tonumber(ARGV[3])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], '', ARGV[2]) end
for each = 4, 3 + gone do redis.call('HDEL', KEYS[2], ARGV[each]) end
for each = 4 + gone, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[each], ARGV[each + 1]) end
return 1
"""


def connect(host: str, port: int, password: str) -> "redis.Redis":
    """Return a client for Valkey. It tries again for about a second if a connection breaks: everything here is safe to
    repeat."""
    return redis.Redis(
        host=host,
        port=port,
        password=password,
        socket_connect_timeout=5.0,
        socket_timeout=10.0,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 4),
    )


class Lost(PantheonError):
    """Valkey lost its data while rows were written."""


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one entity at one time.

    Attributes:
        id: the entity's, canonical.
        event, created: microseconds since 1970, UTC.
        values: in the order of the view's fields; a date in seconds since 1970.
    """

    id: str
    event: int
    created: int
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of rows: how many were written, and how many were older than what is online."""

    written: int = 0
    older: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """What a materialisation read: event times from ``start`` until ``end``, when it began; microseconds since 1970."""

    start: int
    end: int


class Online:
    """The online store of a deployment. Thread-safe; every method raises PantheonError if Valkey does not answer.

    Args:
        client: for bytes. Everything is safe to repeat, so it may retry.
    """

    def __init__(self, client: "redis.Redis", project: str = PROJECT) -> None:
        self._client, self._project = client, project
        self._write, self._mark = client.register_script(SCRIPT), client.register_script(MARK)

    def write(self, view: View, rows: Iterable[Row]) -> Written:
        """Write rows that are newer than what is online; of several rows of an entity, the newest stays."""
        names = [_mmh3(f"{view.name}:{field.name}") for field in view.fields]
        kinds = [VALUES[field.type] for field in view.fields]
        head = [f"_ts:{view.name}", f"_both:{view.name}", len(names), *names]
        most = max(1, AT_ONCE // (len(names) + 2))
        written = older = 0
        keys: list[bytes] = []
        given: list[Any] = []

        def send() -> None:
            nonlocal written, older
            with self._reaching():
                counts = self._write(keys=keys, args=[*head, *given])
            written, older = written + counts[0], older + counts[1]
            keys.clear()
            given.clear()

        for row in rows:
            keys.append(self.key(view.key, row.id))
            given += (_timestamp(row.event), _timestamp(row.created))
            given += [_value(kind, value) for kind, value in zip(kinds, row.values, strict=True)]
            if len(keys) == most:
                send()
        if keys:
            send()
        return Written(written, older)

    def key(self, join_key: str, id: str) -> bytes:
        """Return Feast's key of an entity."""
        return bytes(_redis_key(self._project, EntityKey(join_keys=[join_key], entity_values=[Value(string_val=id)])))

    def generation(self) -> bytes:
        """Return what stays the same for as long as Valkey keeps its data."""
        with self._reaching():
            self._client.set(GENERATION, uuid4().hex, nx=True)
            return bytes(self._client.get(GENERATION) or b"")

    def parts(self, view: View) -> dict[str, Span]:
        """Return the parts whose rows are online; none if the rows are not there any more."""
        with self._reaching():
            found = self._client.hgetall(_marks(view))
            witness = found.pop(b"", b"")  # a row that must be there
            if witness and not self._client.hexists(witness, f"_ts:{view.name}"):
                return {}
        return {name.decode(): Span(*map(int, value.split())) for name, value in found.items()}

    def mark(
        self, view: View, generation: bytes, added: Mapping[str, Span], gone: Collection[str] = (), witness: str = ""
    ) -> None:
        """Remember which parts are online.

        Args:
            generation: from before the rows were written.
            gone: parts that do not exist any more.
            witness: an entity that is online.

        Raises:
            Lost: Valkey lost its data since, perhaps with rows of these parts.
        """
        key = self.key(view.key, witness) if witness else b""
        spans = [text for name, span in added.items() for text in (name, f"{span.start} {span.end}")]
        with self._reaching():
            if not self._mark(keys=[GENERATION, _marks(view)], args=[generation, key, len(gone), *gone, *spans]):
                raise Lost("Valkey lost its data while features were written to it.", "Run it again.", 1)

    def read(self, view: View, ids: Sequence[str]) -> list[tuple[int, list[Any]] | None]:
        """Return the event time and the values of each entity, as in ``Row``; None: it is not there."""
        names = [f"_ts:{view.name}", *(_mmh3(f"{view.name}:{field.name}") for field in view.fields)]
        with self._reaching(), self._client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hmget(self.key(view.key, id), names)
            found = pipe.execute()
        return [
            None
            if event is None
            else (Timestamp.FromString(event).ToMicroseconds(), [_plain(value) for value in values])
            for event, *values in found
        ]

    def remove(self, join_key: str, ids: Iterable[str], views: Iterable[View]) -> int:
        """Remove entities from all views; return how many there were.

        Args:
            views: those that have this join key.
        """
        keys = {self.key(join_key, id) for id in ids}
        with self._reaching():
            found = sum(int(self._client.delete(key)) for key in keys)
            for view in views:
                if self._client.hget(_marks(view), b"") in keys:
                    self._client.hdel(_marks(view), b"")
        return found

    def clear(self, view: View) -> None:
        """Remove a view from all entities, and what is remembered about it."""
        names = [
            f"_ts:{view.name}",
            f"_both:{view.name}",
            *(_mmh3(f"{view.name}:{field.name}") for field in view.fields),
        ]
        prefix = re.sub(rb"([*?\[\]\\\\])", rb"\\\1", _redis_key_prefix([view.key]))
        with self._reaching():
            self._client.delete(_marks(view))
            with self._client.pipeline(transaction=False) as pipe:
                for key in self._client.scan_iter(prefix + b"*", count=1000):
                    pipe.hdel(key, *names)
                    if len(pipe) >= AT_ONCE:
                        pipe.execute()
                pipe.execute()

    def rewrite(self) -> None:
        """Let Valkey write its append-only file anew: it has what was removed as well.

        Raises:
            PantheonError: it cannot.
        """
        with self._reaching():
            self._rewrite()

    def _rewrite(self) -> None:
        if not self._client.info("persistence")["aof_enabled"]:
            return
        end = time.monotonic() + REWRITE_SECONDS
        begun = False
        while time.monotonic() < end:
            now = self._client.info("persistence")
            if now["aof_rewrite_in_progress"] or now["aof_rewrite_scheduled"]:
                time.sleep(0.02)  # also one that began before: it may have what was removed
            elif not begun:
                self._client.bgrewriteaof()
                begun = True
            elif now["aof_last_bgrewrite_status"] == "ok":
                return
            else:
                break
        raise PantheonError(
            "what was removed from Valkey is still in its append-only file: rewriting it failed.",
            "Free some disk space, then run the command again.",
            1,
        )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            cure = "It comes back by itself: `bin/pantheon logs --service valkey`"
            raise PantheonError(f"Valkey does not answer: {str(error).rstrip('.')}.", cure, 1) from None
        except redis.ResponseError as error:  # it is full, or its disk is
            raise PantheonError(
                f"Valkey refused to write: {error}.", "`bin/pantheon logs --service valkey`", 1
            ) from None


def _marks(view: View) -> bytes:
    return f"features:parts:{view.name}".encode()


def _timestamp(microseconds: int) -> bytes:
    seconds, rest = divmod(microseconds, MICROSECONDS)
    return bytes(Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString())


def _plain(value: bytes | None) -> Any:
    found = Value.FromString(value or b"")
    kind = found.WhichOneof("val")
    return getattr(found, kind) if kind else None


def _value(kind: str, value: Any) -> bytes:
    """Return a value as Feast stores it; null is a ``Value`` without one."""
    return b"" if value is None else bytes(Value(**{kind: value}).SerializeToString())

"""Aliases in S3: ``models/NAME/aliases/ALIAS.json``, moved by compare-and-swap.

An alias that was dropped names no version (``"version": null``) and stays: its date belongs to the history, and the
next move is a compare-and-swap like any other. The object's versions are the history, where the bucket keeps them.
"""

import builtins
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pantheon.store.bucket import Bucket, Object, Unchanged
from pantheon.store.records import (
    ANY,
    MEND_ALIAS,
    Alias,
    Damaged,
    check_alias,
    check_name,
    date,
    is_alias,
    moved,
    now,
    reading,
)


class Aliases:
    """The aliases of every model in a bucket. One conditional GET is what a look costs where nothing changed."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket, self._root = bucket, root
        self._seen: dict[str, Object] = {}
        self._lock = threading.Lock()

    def key(self, name: str, alias: str) -> str:
        return f"{self._root}/{check_name(name)}/aliases/{check_alias(alias)}.json"

    def get(self, name: str, alias: str) -> Alias | None:
        return self._read(name, alias)[0]

    def all(self, name: str) -> dict[str, Alias]:
        """Every alias that names something."""
        prefix = f"{self._root}/{check_name(name)}/aliases/"
        keys = [each.key[len(prefix) :] for each in self._bucket.list(prefix)]
        stems = sorted(key.removesuffix(".json") for key in keys if key.endswith(".json"))
        found = {stem: self.get(name, stem) for stem in stems if is_alias(stem)}
        return {stem: record for stem, record in found.items() if record}

    def swap(self, name: str, version: str, alias: str, expected: str | None, by: str, note: str) -> bool:
        def new(old: Alias | None) -> dict[str, Any] | None:
            if expected != ANY and expected != (old.version if old else None):
                return None
            return moved(old, version, by, note).as_dict()

        return self._change(name, alias, new)

    def drop(self, name: str, alias: str, expected: str) -> bool:
        def new(old: Alias | None) -> dict[str, Any] | None:
            if old is None or old.version != expected:
                return None
            return {"version": None, "since": now(), "by": "", "note": "", "previous": old.version}

        return self._change(name, alias, new)

    def take(self, name: str, alias: str, record: Alias) -> None:
        self._change(name, alias, lambda old: None if old == record else asdict(record))

    def history(self, name: str, alias: str) -> builtins.list[Alias] | None:
        events = self._events(name, alias)
        return None if events is None else [record for _, record in events if record]

    def at(self, name: str, moment: datetime, alias: str) -> Alias | None:
        """What the alias named at ``moment``; None where it named nothing, or what it named was not recorded here."""
        later: Alias | None = None
        for since, record in self._events(name, alias) or []:
            if since <= moment:
                return None if later and record and later.previous != record.version else record
            later = record
        return None

    def _events(self, name: str, alias: str) -> builtins.list[tuple[datetime, Alias | None]] | None:
        """Since when, and what was named from then on (None: nothing); newest first. None without versioning."""
        key = self.key(name, alias)
        if not self._bucket.keeps_versions():
            return None
        events: dict[tuple[datetime, str], tuple[datetime, Alias | None]] = {}
        for each in self._bucket.versions(key) or []:
            if each.key != key:
                continue
            if each.deleted:  # by hand: we never do
                events[each.modified, ""] = each.modified, None
                continue
            found = self._bucket.get(key, version=each.id)
            if found is None:
                continue
            try:
                record, since = self._parse(found, key)
            except Damaged:  # what was named from then on is not known; a good one came after it, or `get` says so
                events[each.modified, ""] = each.modified, None
                continue
            # A note on what it names already is a version of its own with the same date: the newest note counts.
            events.setdefault((since, record.version if record else ""), (since, record))
        return sorted(events.values(), key=lambda event: event[0], reverse=True)

    def _change(self, name: str, alias: str, new: Callable[[Alias | None], dict[str, Any] | None]) -> bool:
        """Compare and swap until nobody is faster; False where ``new`` wants no change."""
        key = self.key(name, alias)
        while True:
            old, etag = self._read(name, alias)
            record = new(old)
            if record is None:
                return False
            body = (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()
            if self._bucket.put(key, body, expected=etag):
                return True
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - another one moved it: look again

    def _read(self, name: str, alias: str) -> tuple[Alias | None, str | None]:
        """What the alias names and the object's ETag, both None where there is no object."""
        key = self.key(name, alias)
        seen = self._seen.get(key)
        try:
            found = self._bucket.get(key, unless=seen.etag if seen else "")
        except Unchanged:
            found = seen
        with self._lock:
            if found is None:
                self._seen.pop(key, None)
                return None, None
            self._seen[key] = found
        return self._parse(found, key)[0], found.etag

    def _parse(self, found: Object, key: str) -> tuple[Alias | None, datetime]:
        with reading(self._bucket.path(key), MEND_ALIAS):
            raw = json.loads(found.body)
            if isinstance(raw, dict) and raw.get("version", "") is None:
                return None, datetime.fromisoformat(date(raw.get("since")))
            record = Alias.read(raw)
            return record, datetime.fromisoformat(record.since)

"""Aliases in S3: ``models/NAME/aliases/ALIAS.json``, moved by compare-and-swap.

The object of a dropped alias is kept, without a version (``"version": null``): its date belongs to the history, and the
next move is an ordinary compare-and-swap. With versioning, the object's versions are the history.
"""

import builtins
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime

from pantheon.store.records import (
    ANY,
    MEND_ALIAS,
    Alias,
    AliasRecord,
    Damaged,
    check_alias,
    check_name,
    date,
    is_alias,
    moved,
    now,
    reading,
)
from pantheon.store.s3.bucket import Bucket, Object, Unchanged


class Aliases:
    """The aliases of all models in a bucket. Polling an unchanged alias costs one conditional GET."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket, self._root = bucket, root
        self._seen: dict[str, Object] = {}
        self._lock = threading.Lock()

    def key(self, name: str, alias: str) -> str:
        return f"{self._root}/{check_name(name)}/aliases/{check_alias(alias)}.json"

    def get(self, name: str, alias: str) -> Alias | None:
        return self._read(name, alias)[0]

    def all(self, name: str) -> dict[str, Alias]:
        """Return every alias that names a version."""
        prefix = f"{self._root}/{check_name(name)}/aliases/"
        keys = [listed.key[len(prefix) :] for listed in self._bucket.list(prefix)]
        stems = sorted(key.removesuffix(".json") for key in keys if key.endswith(".json"))
        records = {stem: self.get(name, stem) for stem in stems if is_alias(stem)}
        return {stem: record for stem, record in records.items() if record}

    def swap(self, name: str, version: str, alias: str, expected: str | None, by: str, note: str) -> bool:
        def new(old: Alias | None) -> AliasRecord | None:
            if expected != ANY and expected != (old.version if old else None):
                return None
            return moved(old, version, by, note).as_dict()

        return self._change(name, alias, new)

    def drop(self, name: str, alias: str, expected: str) -> bool:
        def new(old: Alias | None) -> AliasRecord | None:
            if old is None or old.version != expected:
                return None
            return {"version": None, "since": now(), "by": "", "note": "", "previous": old.version}

        return self._change(name, alias, new)

    def take(self, name: str, alias: str, record: Alias) -> None:
        self._change(name, alias, lambda old: None if old == record else record.as_dict())

    def history(self, name: str, alias: str) -> builtins.list[Alias] | None:
        events = self._events(name, alias)
        return None if events is None else [record for _, record in events if record]

    def at(self, name: str, moment: datetime, alias: str) -> Alias | None:
        """Return what the alias named at ``moment``; None if it named nothing, or if that was not recorded."""
        later: Alias | None = None
        for since, record in self._events(name, alias) or []:
            if since <= moment:
                return None if later and record and later.previous != record.version else record
            later = record
        return None

    def _events(self, name: str, alias: str) -> builtins.list[tuple[datetime, Alias | None]] | None:
        """Return (start, what was named from then on; None: nothing), newest first; None without versioning."""
        key = self.key(name, alias)
        if not self._bucket.keeps_versions():
            return None
        events: dict[tuple[datetime, str], tuple[datetime, Alias | None]] = {}
        for listed in self._bucket.versions(key) or []:
            if listed.key != key:
                continue
            if listed.deleted:  # by hand: Pantheon never deletes it
                events[listed.modified, ""] = listed.modified, None
                continue
            try:
                content = self._bucket.get(key, version=listed.id)
                if content is None:
                    continue
                record, since = self._parse(content, key)
            except Damaged:  # unknown from then on; a later version is valid, or `get` raises
                events[listed.modified, ""] = listed.modified, None
                continue
            # A new note is a separate version with the same date: the newest note counts.
            events.setdefault((since, record.version if record else ""), (since, record))
        return sorted(events.values(), key=lambda event: event[0], reverse=True)

    def _change(self, name: str, alias: str, new: Callable[[Alias | None], AliasRecord | None]) -> bool:
        """Compare and swap, with retries after concurrent changes; return False if ``new`` returns None."""
        key = self.key(name, alias)
        while True:
            old, etag = self._read(name, alias)
            record = new(old)
            if record is None:
                return False
            body = (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()
            if self._bucket.put(key, body, expected=etag):
                return True
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - it changed in the meantime: retry

    def _read(self, name: str, alias: str) -> tuple[Alias | None, str | None]:
        """Return what the alias names and the object's ETag; both are None if there is no object."""
        key = self.key(name, alias)
        seen = self._seen.get(key)
        try:
            content = self._bucket.get(key, unless=seen.etag if seen else "")
        except Unchanged:
            content = seen
        except Damaged as error:
            raise Damaged(error.cause, MEND_ALIAS, error.status) from None
        with self._lock:
            if content is None:
                self._seen.pop(key, None)
                return None, None
            self._seen[key] = content
        return self._parse(content, key)[0], content.etag

    def _parse(self, content: Object, key: str) -> tuple[Alias | None, datetime]:
        with reading(self._bucket.path(key), MEND_ALIAS):
            raw = json.loads(content.body)
            if isinstance(raw, dict) and raw.get("version", "") is None:
                return None, datetime.fromisoformat(date(raw.get("since")))
            record = Alias.read(raw)
            return record, datetime.fromisoformat(record.since)

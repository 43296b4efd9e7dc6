"""Routing policies in S3: ``models/NAME/policy.json``, moved by compare-and-swap.

The object of a removed policy is kept, without a policy (``"policy": null``), as in ``aliases``: a conditional put is
supported by more servers than a conditional deletion.
"""

import json
import random
import threading
import time

from pantheon.store.policies import POLICY, StoredPolicy, cure, is_expected
from pantheon.store.records import ANY, Damaged, check_name, now, reading
from pantheon.store.s3.bucket import UNCONDITIONAL, Bucket, Object, Unchanged


class Policies:
    """The policies of all models in a bucket. Polling an unchanged policy costs one conditional GET."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket, self._root = bucket, root
        self._seen: dict[str, Object] = {}
        self._lock = threading.Lock()

    def key(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}/{POLICY}"

    def get(self, name: str) -> StoredPolicy | None:
        """Return a model's policy; None without one. Raises Damaged."""
        return self._read(name)[0]

    def swap(self, name: str, new: StoredPolicy | None, expected: str | None) -> bool:
        """Replace or (None) remove a policy; return False if it is not as expected. With ``ANY``, a damaged one too."""
        key = self.key(name)
        body = (json.dumps(new.as_dict() if new else {"policy": None, "since": now()}, indent=1) + "\n").encode()
        if expected == ANY:
            self._bucket.put(key, body, expected=UNCONDITIONAL)
            return True
        while True:
            current, etag = self._read(name)
            if not is_expected(current, expected):
                return False
            if self._bucket.put(key, body, expected=etag):
                return True
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - it changed in the meantime: look again

    def _read(self, name: str) -> tuple[StoredPolicy | None, str | None]:
        """Return the policy and the object's ETag; both are None if there is no object."""
        key = self.key(name)
        seen = self._seen.get(key)
        try:
            content = self._bucket.get(key, unless=seen.etag if seen else "")
        except Unchanged:
            content = seen
        except Damaged as error:
            raise Damaged(error.cause, cure(name), error.status) from None
        with self._lock:
            if content is None:
                self._seen.pop(key, None)
                return None, None
            self._seen[key] = content
        with reading(self._bucket.path(key), cure(name)):
            raw = json.loads(content.body)
            if isinstance(raw, dict) and raw.get("policy", "") is None:
                return None, content.etag
            return StoredPolicy.read(raw), content.etag

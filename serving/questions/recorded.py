"""Check whether a model's sources still exist: the run's tag in git, and its data in DVC's remote.

This needs neither git nor DVC: a tag is a line in a file, and DVC names its objects after their MD5.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from serving.state import State

TAG = re.compile(r"run/[0-9A-Za-z-]{1,64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
MD5 = re.compile(r"([0-9a-f]{2})([0-9a-f]{30})(\.dir)?")
REMOTE = re.compile(r"s3://([a-z0-9.-]{3,63})((?:/[A-Za-z0-9._-]+)*)/?")
MAX_FILES = 100  # of a data folder that are checked one by one


@dataclass(frozen=True)
class Result:
    """The result of the check.

    Attributes:
        commit: the run's commit in the model's lineage.
        objects: number of files of the training data in the remote.
        missing: descriptions of what is missing or different, to follow "but"; empty if all exists.
        source: where it was checked.
    """

    commit: str
    tag: str
    md5: str
    objects: int
    missing: tuple[str, ...]
    source: str


def check(state: State, record: Any) -> Result:
    """Compare ``lineage["version_control"]`` with the deployment's repository and with DVC's remote.

    Raises:
        PantheonError: the record is malformed, or S3 does not answer.
    """
    record = record if isinstance(record, dict) else {}
    data = record.get("data")
    md5 = str(data.get("md5")) if isinstance(data, dict) else ""
    commit, tag = str(record.get("commit")), str(record.get("tag"))
    remote, hashed = REMOTE.fullmatch(str(record.get("remote"))), MD5.fullmatch(md5)
    if not (COMMIT.fullmatch(commit) and TAG.fullmatch(tag) and remote and hashed):
        raise PantheonError("the model's lineage has a malformed record of git and DVC.", status=1)
    missing = []
    named = tagged(state.folder / "repositories" / "main.git", tag)
    if named is None:
        missing.append(f"the repository has no tag {tag}")
    elif named != commit:
        missing.append(f"the tag {tag} names commit {named[:12]}, not {commit[:12]}")
    prefix = f"{remote[2].strip('/')}/files/md5/".lstrip("/")
    objects = Objects(state, remote[1])
    key = f"{prefix}{hashed[1]}/{hashed[2]}{hashed[3] or ''}"
    count = 0
    if hashed[3]:
        content = objects.read(key)
        if content is None:
            missing.append(f"s3://{remote[1]}/{key} is missing")
        else:
            files = [str(entry["md5"]) for entry in json.loads(content)]
            gone = [m for m in files[:MAX_FILES] if not objects.has(f"{prefix}{m[:2]}/{m[2:]}")]
            missing += [f"{len(gone)} of {len(files)} files of the data are missing, such as {gone[0]}"] if gone else []
            count = len(files) - len(gone)
    elif objects.has(key):
        count = 1
    else:
        missing.append(f"s3://{remote[1]}/{key} is missing")
    source = f"git tag {tag} in repositories/main.git, s3://{remote[1]}/{key}"
    return Result(commit, tag, md5, count, tuple(missing), source)


def tagged(git: Path, tag: str) -> str | None:
    """Return the commit of a (lightweight) tag; None if the tag does not exist."""
    try:
        return (git / "refs" / "tags" / tag).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    try:
        packed = (git / "packed-refs").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    for line in packed.splitlines():
        commit, _, name = line.partition(" ")
        if name == f"refs/tags/{tag}":
            return commit
    return None


class Objects:
    """Reads the objects of a bucket by name."""

    def __init__(self, state: State, bucket: str) -> None:
        from pantheon.store.s3.bucket import Bucket  # imported only if models are stored in S3

        where, named = state.store, os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
        if not where:
            raise PantheonError("models are stored in a folder, but DVC's remote is in S3.", status=1)
        credentials = Path(named) if named else state.folder / "secrets" / "s3" / "credentials"
        self.bucket = Bucket(bucket, where.endpoint, where.region, credentials, retry_seconds=0)

    def has(self, key: str) -> bool:
        """Return whether the object exists. Lists it, so that its content is not read."""
        return any(entry.key == key for entry in self.bucket.list(key))

    def read(self, key: str) -> bytes | None:
        """Return the object's bytes; None if it does not exist."""
        stored = self.bucket.get(key)
        return None if stored is None else stored.body

"""Copy the content of the deployment's own S3 to a tar, and back: ``python -m pantheon.store.s3.keep save|load``.

A tar of ``current/KEY`` for every object, after ``history/NUMBER/KEY`` for the earlier versions of aliases, oldest
first: they are the history of what served. References are read first and data later, so whatever a reference in the tar
names is in it, too. A removed object has a successor, so the bucket is listed again until none is missing.
"""

import os
import sys
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import IO

from pantheon.errors import PantheonError
from pantheon.store.s3.bucket import Bucket
from pantheon.store.s3.prepare import BUCKET, prepare

ALIASES = "models/*/aliases/*.json"
FIRST = (ALIASES, "models/*/policy.json", "*.json")  # references, then manifests, then what these name
PASSES = 20  # over a bucket in which objects vanish all the time
AT_ONCE = 8 << 20  # bytes; a larger object is uploaded in parts
RETRY_SECONDS = 30.0


def save(bucket: Bucket, to: IO[bytes]) -> None:
    """Write the tar.

    Raises:
        PantheonError: S3 does not answer, or objects vanish again and again.
    """
    done: set[str] = set()
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for _ in range(PASSES):
            keys = [listed.key for listed in bucket.list("") if listed.key not in done]
            missing = [key for key in sorted(keys, key=_rank) if not _add(bucket, key, tar)]
            done.update(set(keys) - set(missing))
            if not missing:
                return
    raise PantheonError(f"objects in {bucket.path('')} vanish again and again while they are read.", "Try again.", 1)


def _rank(key: str) -> int:
    return next((rank for rank, pattern in enumerate(FIRST) if fnmatchcase(key, pattern)), len(FIRST))


def _add(bucket: Bucket, key: str, tar: tarfile.TarFile) -> bool:
    """Add an object with its history; return whether it was still there."""
    if fnmatchcase(key, ALIASES):
        for number, body in enumerate(_history(bucket, key)):
            tar.addfile(_info(f"history/{number:06}/{key}", len(body)), BytesIO(body))
    try:
        answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
    except bucket.client.exceptions.NoSuchKey:
        return False
    with answer["Body"] as body:
        tar.addfile(_info(f"current/{key}", int(answer["ContentLength"])), body)
    return True


def _history(bucket: Bucket, key: str) -> Iterator[bytes]:
    """Yield the earlier versions of an object, oldest first."""
    versions = [each for each in bucket.versions(key) or [] if each.key == key and not each.deleted]
    for version in reversed(versions[1:]):
        if found := bucket.get(key, version=version.id):
            yield found.body


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def load(bucket: Bucket, source: IO[bytes]) -> int:
    """Store the objects of a tar in an empty bucket; return how many there were."""
    count = 0
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for info in tar:
            content = tar.extractfile(info)
            if content is None:
                continue
            place, _, rest = info.name.partition("/")
            key = rest if place == "current" else rest.partition("/")[2]
            if info.size <= AT_ONCE:
                bucket.put(key, content.read())
            else:
                _upload(bucket, key, content)
            count += 1
            tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
    return count


class _Stream:
    """Only reads: boto3 asks whether a file can seek, and that of a streamed tar cannot answer."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read = file.read


def _upload(bucket: Bucket, key: str, content: IO[bytes]) -> None:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        bucket.client.upload_fileobj(_Stream(content), bucket.name, key)
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise PantheonError(f"{bucket.path(key)} could not be written: {error}.", "Try again.", 1) from None


def main() -> int:
    """Copy from or to the bucket at AWS_ENDPOINT_URL, with the keys of AWS_SHARED_CREDENTIALS_FILE."""
    from botocore.exceptions import BotoCoreError, ClientError

    keys, region = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]), os.environ.get("AWS_REGION", "us-east-1")
    bucket = Bucket(BUCKET, os.environ["AWS_ENDPOINT_URL"], region, keys, RETRY_SECONDS)
    try:
        if sys.argv[1:] == ["load"]:
            prepare(bucket.client, BUCKET)
            load(bucket, sys.stdin.buffer)
        else:
            save(bucket, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has said why
        os._exit(1)
    except PantheonError as error:
        print(error.cause, error.cure, file=sys.stderr)
        return error.status
    except (BotoCoreError, ClientError, OSError, tarfile.TarError) as error:
        print(f"the copy of the objects failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

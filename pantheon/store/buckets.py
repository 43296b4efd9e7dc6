"""The bucket that models and data lie in: made where it is missing, and told to keep what is written over.

``python -m pantheon.store.buckets`` does it for the S3 that comes with the tier: its one-off ``s3-buckets``.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError

BUCKET = "pantheon"
PATIENCE = 30.0  # seconds to try again for, while S3 does not answer or is not ready
_PAUSE = 0.25


def prepare(client: Any, bucket: str, patience: float = PATIENCE) -> list[str]:
    """Make ``bucket`` where it is missing, and switch its versioning on: an alias's old versions are its history.

    Args:
        client: a boto3 S3 client.
        patience: seconds to try again for.

    Returns:
        What was done, in words; empty where all was as it should be.

    Raises:
        PantheonError: S3 does not answer, refuses the keys, or cannot do it; says which.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    end = time.monotonic() + patience
    done: list[str] = []
    while True:
        try:
            return _prepare(client, bucket, done)
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if status not in (429, 500, 502, 503, 504) or time.monotonic() > end:
                raise _refused(error, status, client, bucket) from None
        except (HTTPClientError, ConnectionError) as error:
            if time.monotonic() > end:
                raise _silent(error, client) from None
        except BotoCoreError as error:
            raise _silent(error, client) from None
        time.sleep(_PAUSE)


def _prepare(client: Any, bucket: str, done: list[str]) -> list[str]:
    if not _is_there(client, bucket):
        _create(client, bucket)
        done.append(f"bucket {bucket} made")
    if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        done.append(f"versioning of {bucket} switched on")
    return done


def _is_there(client: Any, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _create(client: Any, bucket: str) -> None:
    from botocore.exceptions import ClientError

    region = client.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=bucket, **where)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":  # by another command, a moment ago
            raise


def _refused(error: Any, status: int, client: Any, bucket: str) -> PantheonError:
    where, said = client.meta.endpoint_url, error.response["Error"]
    code, message = said.get("Code", ""), said.get("Message", "")
    if code in ("BucketAlreadyExists", "InvalidBucketName"):
        return PantheonError(
            f"{where} has no bucket {bucket} for these keys: {message}", "Choose another: S3_BUCKET=…", 1
        )
    if status in (401, 403):
        return PantheonError(
            f"{where} refuses these keys at {error.operation_name} for the bucket {bucket} ({code}).",
            "They must be let make and use it, its versioning too; or make it yourself, with versioning on.",
            1,
        )
    if status in (301, 307, 400) and code in ("301", "PermanentRedirect", "IllegalLocationConstraintException"):
        return PantheonError(f"the bucket {bucket} is in another region than AWS_REGION says.", "Set AWS_REGION=…", 1)
    if status in (405, 501):
        return PantheonError(
            f"{where} cannot do {error.operation_name}: {message or code}.",
            "The store needs an S3 that keeps versions of objects.",
            1,
        )
    return PantheonError(
        f"{where} answered {error.operation_name} for the bucket {bucket} with {status} {code}: {message}",
        "Look at that server, then try again.",
        1,
    )


def _silent(error: Exception, client: Any) -> PantheonError:
    return PantheonError(
        f"there is no S3 at {client.meta.endpoint_url}: {error}", "Is its address right, and does it run?", 1
    )


def main() -> int:
    """Prepare the bucket at AWS_ENDPOINT_URL with the keys of AWS_SHARED_CREDENTIALS_FILE."""
    from pantheon.store.client import client

    keys = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    try:
        done = prepare(client(os.environ["AWS_ENDPOINT_URL"], os.environ.get("AWS_REGION", "us-east-1"), keys), BUCKET)
    except PantheonError as error:
        print(error.cause, error.cure, file=sys.stderr)
        return error.status
    print("; ".join(done) or f"bucket {BUCKET} is there, versioning on")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Create the bucket for models and data if it is missing, and enable its versioning.

``python -m pantheon.store.s3.prepare`` does it for the S3 that comes with the tier, in the one-off ``s3-buckets``.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.store.s3.errors import untrusted

BUCKET = "pantheon"
RETRY_SECONDS = 30.0  # how long to retry while S3 does not answer or is not ready
_PAUSE = 0.25


def prepare(client: Any, bucket: str, retry_seconds: float = RETRY_SECONDS) -> list[str]:
    """Create ``bucket`` if it is missing, and enable its versioning, which keeps the history of aliases.

    Args:
        client: a boto3 S3 client.
        retry_seconds: how long to retry.

    Returns:
        Messages about what was done; empty if nothing had to be done.

    Raises:
        PantheonError: S3 does not answer, refuses the keys, or does not support it.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

    end = time.monotonic() + retry_seconds
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
        except SSLError as error:
            raise untrusted(error, client.meta.endpoint_url) from None
        except BotoCoreError as error:
            raise _silent(error, client) from None
        time.sleep(_PAUSE)


def _prepare(client: Any, bucket: str, done: list[str]) -> list[str]:
    if not _is_there(client, bucket):
        _create(client, bucket)
        done.append(f"bucket {bucket} created")
    if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        done.append(f"versioning of {bucket} enabled")
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
    where, answer = client.meta.endpoint_url, error.response["Error"]
    code, message = answer.get("Code", ""), answer.get("Message", "")
    if code in ("BucketAlreadyExists", "InvalidBucketName"):
        return PantheonError(
            f"{where} has no bucket {bucket} for these keys: {message}", "Choose another: S3_BUCKET=…", 1
        )
    if status in (401, 403):
        return PantheonError(
            f"{where} refuses these keys at {error.operation_name} for the bucket {bucket} ({code}).",
            "Allow them to create and use it, and its versioning; or create it yourself, with versioning enabled.",
            1,
        )
    if status in (301, 307, 400) and code in ("301", "PermanentRedirect", "IllegalLocationConstraintException"):
        return PantheonError(f"the bucket {bucket} is not in the region AWS_REGION.", "Set AWS_REGION=…", 1)
    if status in (405, 501):
        return PantheonError(
            f"{where} does not support {error.operation_name}: {message or code}.",
            "Use an S3 server that supports versioning of objects.",
            1,
        )
    return PantheonError(
        f"{where} answered {error.operation_name} for the bucket {bucket} with {status} {code}: {message}",
        "Check that server, then try again.",
        1,
    )


def _silent(error: Exception, client: Any) -> PantheonError:
    return PantheonError(
        f"the S3 at {client.meta.endpoint_url} does not answer: {str(error).rstrip('.')}.",
        "Check its address, and that it runs.",
        1,
    )


def main() -> int:
    """Prepare the bucket at AWS_ENDPOINT_URL with the keys of AWS_SHARED_CREDENTIALS_FILE."""
    from pantheon.store.s3.client import client

    keys = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    try:
        done = prepare(client(os.environ["AWS_ENDPOINT_URL"], os.environ.get("AWS_REGION", "us-east-1"), keys), BUCKET)
    except PantheonError as error:
        print(error.cause, error.cure, file=sys.stderr)
        return error.status
    print("; ".join(done) or f"bucket {BUCKET} exists, versioning is enabled")
    return 0


if __name__ == "__main__":
    sys.exit(main())

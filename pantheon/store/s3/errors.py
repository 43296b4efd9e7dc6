"""Convert S3 errors to readable messages with the next command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError


@dataclass(frozen=True)
class Place:
    """A bucket's location, for messages.

    Attributes:
        endpoint: empty for AWS.
        credentials: the file with the keys; None for boto3's default chain.
        read_timeout: seconds that a request waits for a response.
    """

    bucket: str
    endpoint: str
    region: str
    credentials: Path | None
    read_timeout: float

    def path(self, key: str) -> str:
        """Return the address of an object: ``s3://BUCKET/KEY``."""
        return f"s3://{self.bucket}/{key}"


# Codes that S3 documents as retryable; 5xx and 429 always are.
_PASSING = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling", "BadDigest"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidToken", "ExpiredToken"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}


def may_pass(response: dict[str, Any]) -> bool:
    """Whether a retry of the same request may succeed."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return response["Error"].get("Code") in _PASSING or status >= 500 or status == 429


def is_network(error: Exception) -> bool:
    """Whether the response is missing or incomplete; retries do not help with certificates and missing keys."""
    import botocore.exceptions as errors

    if isinstance(error, errors.SSLError):
        return False
    lost = (
        errors.ConnectionError,
        errors.HTTPClientError,
        errors.IncompleteReadError,
        errors.ResponseStreamingError,
    )
    return isinstance(error, lost) or isinstance(error.__context__, lost)


class Failed(PantheonError):
    """The S3 store failed on a request (status 500)."""


def untrusted(error: Exception, where: str) -> PantheonError:
    return PantheonError(
        f"the certificate of the S3 store at {where} is not trusted: {str(error).rstrip('.')}.",
        "Give the certificate of your certificate authority: CA=company.pem, or AWS_CA_BUNDLE=company.pem.",
        status=1,
    )


def explain(error: Exception, place: Place, key: str, tries: int, spent: float) -> PantheonError:
    """Return the error to show for a failed request on ``key``."""
    import botocore.exceptions as errors

    where = place.endpoint or f"AWS ({place.region})"
    tried = f" (tried {tries} times in {spent:.0f} s)" if tries > 1 else ""
    if isinstance(error, errors.ClientError):
        return _refused(error.response, place, key, where, tried)
    if isinstance(error, errors.SSLError):
        return untrusted(error, where)
    if is_network(error):
        cure = "Check it with `bin/pantheon status`; `bin/pantheon up` starts it."
        if not place.endpoint:
            cure = "Check this machine's network, and the region."
        return PantheonError(
            f"the S3 store at {where} does not answer{tried}: {_reason(error, place.read_timeout)}.", cure, status=1
        )
    if isinstance(error, (errors.NoCredentialsError, errors.PartialCredentialsError)):
        return PantheonError(
            f"there are no keys for the S3 store at {where}.", "`bin/pantheon up` creates them.", status=1
        )
    return PantheonError(f"the request to the S3 store at {where} for {place.path(key)} failed: {error}", status=1)


def _refused(answer: dict[str, Any], place: Place, key: str, where: str, tried: str) -> PantheonError:
    code, message = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
    meta = answer.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    keys = place.credentials or "this environment"
    if code in _CLOCK:
        date = meta.get("HTTPHeaders", {}).get("date", "unknown")
        cause = f"the clocks of this machine and of the S3 store at {where} differ too much; its time is {date}."
        cure = "Set this machine's clock."
    elif code == "NoSuchBucket":
        cause, cure = f"the S3 store at {where} has no bucket {place.bucket!r}.", "`bin/pantheon up` creates it."
    elif code in _KEYS:
        cause = f"the S3 store at {where} does not accept the keys of {keys}: {code}."
        cure = "`bin/pantheon up` rewrites them; for your own S3, set S3_ENDPOINT_URL and AWS_ACCESS_KEY_ID … again."
    elif code in ("AccessDenied", "403"):
        detail = f": {message}" if message else ""
        cause = f"the keys of {keys} are not allowed to access {place.path(key)}: {code}{detail}."
        cure = "Allow their owner to read, list and write below models/ in this bucket."
    elif code in _REGION:
        cause = f"the bucket {place.bucket!r} is not in the region {place.region}: {code}."
        cure = "Set AWS_REGION to the bucket's region, then run `bin/pantheon up`."
    elif code in ("EntityTooLarge", "QuotaExceeded", "XMinioStorageFull") or status == 507:
        cause = f"the S3 store at {where} has no room for {place.path(key)}: {code}."
        cure = "Free some space: `bin/pantheon models gc`."
    elif status >= 500:
        cause = (
            f"the S3 store at {where} failed on {place.path(key)}{tried}: {status} {code} {message}".rstrip(" .") + "."
        )
        cure = "Check whether its disk is full: `bin/pantheon doctor`, then `bin/pantheon logs --service s3`."
    else:
        cause = (
            f"the S3 store at {where} refused {place.path(key)}{tried}: {status} {code} {message}".rstrip(" .") + "."
        )
        cure = ""
    return (Failed if status == 500 else PantheonError)(cause, cure, status=1)


def _reason(error: Exception, read_timeout: float) -> str:
    """Return the innermost cause: "Connection refused" is clearer than the library's message."""
    import botocore.exceptions as errors

    if isinstance(error, errors.ReadTimeoutError):
        return f"no answer within {read_timeout:g} s"
    inner: BaseException = error
    for candidate in (getattr(error, "kwargs", {}).get("error"), error.__context__):
        if isinstance(candidate, BaseException):
            inner = candidate
            break
    text = str(inner).rsplit("] ", 1)[-1].rsplit(": ", 1)[-1] or type(inner).__name__
    return text.strip(" .\"')")

"""What S3 says when something is wrong, in plain words, with the next command."""

from typing import TYPE_CHECKING, Any

from pantheon.errors import PantheonError
from pantheon.store import client

if TYPE_CHECKING:
    from pantheon.store.bucket import Bucket

# Codes that S3 documents as "try again"; 5xx and 429 are, whatever their code.
_PASSING = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling", "BadDigest"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidToken", "ExpiredToken"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}


def may_pass(response: dict[str, Any]) -> bool:
    """Whether the same request may succeed later."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return response["Error"].get("Code") in _PASSING or status >= 500 or status == 429


def is_network(error: Exception) -> bool:
    """Whether no answer came, or not all of it; certificates and missing keys do not pass by waiting."""
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


def explain(error: Exception, bucket: "Bucket", key: str, tries: int, spent: float) -> PantheonError:
    """The error to show for what came of a request on ``key``."""
    import botocore.exceptions as errors

    where = bucket.endpoint or f"AWS ({bucket.region})"
    tried = f" (tried {tries} times in {spent:.0f} s)" if tries > 1 else ""
    if isinstance(error, errors.ClientError):
        return _refused(error.response, bucket, key, where, tried)
    if isinstance(error, errors.SSLError):
        return PantheonError(
            f"the certificate of the S3 store at {where} is not trusted: {error}",
            "Name your authority's certificate in AWS_CA_BUNDLE.",
            status=1,
        )
    if is_network(error):
        cure = "Is it up? `bin/pantheon status` says so, `bin/pantheon up` starts it."
        if not bucket.endpoint:
            cure = "Is this machine online, and the region right?"
        return PantheonError(
            f"the S3 store at {where} does not answer{tried}: {_reason(error, bucket.patience > 0)}.", cure, status=1
        )
    if isinstance(error, (errors.NoCredentialsError, errors.PartialCredentialsError)):
        return PantheonError(
            f"there are no keys for the S3 store at {where}.", "`bin/pantheon up` makes them.", status=1
        )
    return PantheonError(f"the S3 store at {where} could not be asked for {bucket.path(key)}: {error}", status=1)


def _refused(answer: dict[str, Any], bucket: "Bucket", key: str, where: str, tried: str) -> PantheonError:
    code, said = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
    meta = answer.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    keys = bucket.credentials or "this environment"
    if code in _CLOCK:
        date = meta.get("HTTPHeaders", {}).get("date", "unknown")
        cause = f"this machine's clock and that of the S3 store at {where} differ by too much; its time is {date}."
        cure = "Set this machine's clock."
    elif code == "NoSuchBucket":
        cause, cure = f"the S3 store at {where} has no bucket {bucket.name!r}.", "`bin/pantheon up` makes it."
    elif code in _KEYS:
        cause = f"the S3 store at {where} does not accept the keys of {keys}: {code}."
        cure = (
            "`bin/pantheon up` writes ours anew; for your own S3, give S3_ENDPOINT_URL and AWS_ACCESS_KEY_ID … again."
        )
    elif code in ("AccessDenied", "403"):
        cause = f"the keys of {keys} may not do this with {bucket.path(key)}: {code}{f': {said}' if said else ''}."
        cure = "Let their owner read, list and write below models/ in this bucket."
    elif code in _REGION:
        cause = f"the bucket {bucket.name!r} is not in the region {bucket.region}: {code}."
        cure = "Set AWS_REGION to the bucket's, then `bin/pantheon up`."
    elif code in ("EntityTooLarge", "QuotaExceeded", "XMinioStorageFull") or status == 507:
        cause = f"the S3 store at {where} has no room for {bucket.path(key)}: {code}."
        cure = "Free some room there: `bin/pantheon models gc`."
    elif status >= 500:
        cause = (
            f"the S3 store at {where} failed on {bucket.path(key)}{tried}: {status} {code} {said}".rstrip(" .") + "."
        )
        cure = "Is its disk full? `bin/pantheon doctor`, then `bin/pantheon logs s3`."
    else:
        cause = f"the S3 store at {where} refused {bucket.path(key)}{tried}: {status} {code} {said}".rstrip(" .") + "."
        cure = ""
    return PantheonError(cause, cure, status=1)


def _reason(error: Exception, patient: bool) -> str:
    """The innermost cause: "Connection refused" says more than the library's sentence about it."""
    import botocore.exceptions as errors

    if isinstance(error, errors.ReadTimeoutError):
        read = client.READ if patient else client.READ_ONCE
        return f"no answer within {read:g} s"
    inner: BaseException = error
    for known in (getattr(error, "kwargs", {}).get("error"), error.__context__):
        if isinstance(known, BaseException):
            inner = known
            break
    text = str(inner).rsplit("] ", 1)[-1].rsplit(": ", 1)[-1] or type(inner).__name__
    return text.strip(" .\"')")

"""Generate a deployment's secrets as its components declare them, in files of mode 0600.

A secret is generated once: an existing file is kept, and if two commands run at once, the first one's files are kept.
Only a file that consists of other secrets is generated again, if one of them is new.
"""

import base64
import re
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pantheon import files
from pantheon.components import PLACEHOLDER, RANDOM, Secret
from pantheon.components import read as read_components
from pantheon.tiers import definitions

BUCKET = "pantheon"


def make(folder: Path, wanted: Mapping[str, Secret]) -> None:
    """Generate every secret of ``wanted`` that does not exist yet, and those made from a new one again.

    Args:
        folder: the deployment's ``secrets``; created with mode 0700, as are folders in it.
        wanted: secrets by file name, as in ``Components.secrets``; includes those that templates refer to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    done: set[str] = set()
    new: set[str] = set()

    def ensure(name: str) -> None:
        if name in done:
            return
        done.add(name)
        path, secret = folder / name, wanted[name]
        for needed in secret.needs:
            ensure(needed)
        if not path.exists():
            new.add(name)
            path.parent.mkdir(mode=0o700, exist_ok=True)  # mounted as a folder, so that a replaced file is seen
            files.write_once(path, value(folder, secret).encode(), mode=0o600)
        elif secret.is_derived and new & set(secret.needs):  # its template changed, such as for a new user
            files.write_text(path, value(folder, secret), mode=0o600)

    for name in wanted:
        ensure(name)


def value(folder: Path, secret: Secret) -> str:
    """Return a new value of ``secret``; the secrets that it is made from must exist in ``folder``."""
    if secret.random:
        return word(secret.random)
    if secret.fernet:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if secret.certificate:
        return certificate(secret.certificate)
    if secret.aws:
        return own_keys(folder, secret.aws)

    def filled(match: re.Match[str]) -> str:
        fresh = RANDOM.fullmatch(match[1])
        return word(int(fresh[1])) if fresh else read(folder / match[1])

    return PLACEHOLDER.sub(filled, secret.template)


def word(length: int = 40) -> str:
    """Return random letters and digits, which need no quoting in a URL; 40 are 238 bits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def certificate(name: str) -> str:
    """Return a key and its self-signed certificate as PEM, for servers that authenticate each other with it.

    No other client trusts it, so it does not expire (RFC 5280, 4.1.2.5).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin, end = datetime.now(UTC) - timedelta(days=1), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begin, end)
    signed = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
        key, hashes.SHA256()
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + signed.public_bytes(serialization.Encoding.PEM)
    return text.decode()


def s3_keys(folder: Path, user: str) -> tuple[str, str]:
    """Return the access key ID and the secret key of ``user`` in the deployment's own S3 service."""
    return read(folder / f"{user}_access_key"), read(folder / f"{user}_secret_key")


def own_keys(folder: Path, user: str) -> str:
    """Return ``s3_keys`` as an AWS credentials file."""
    return aws_file(*s3_keys(folder, user))


def aws_file(access: str, secret: str, token: str = "") -> str:
    """Return keys as a credentials file that every AWS client reads (AWS_SHARED_CREDENTIALS_FILE)."""
    lines = ["[default]", f"aws_access_key_id = {access}", f"aws_secret_access_key = {secret}"]
    return "\n".join([*lines, *([f"aws_session_token = {token}"] if token else [])]) + "\n"


def use_s3_keys(folder: Path, text: str = "") -> None:
    """Make every service use these keys of another S3 from its next request on; empty: the deployment's own keys.

    Args:
        text: as ``aws_file`` returns it.
    """
    declared = {name: s for each in definitions() for name, s in read_components(each).secrets.items() if s.external}
    existing = {name: secret.aws for name, secret in declared.items() if (folder / f"{secret.aws}_secret_key").exists()}
    own = text in ("", *(own_keys(folder, user) for user in existing.values()))  # every user has different keys
    for name, user in existing.items():
        file = folder / name
        wanted = own_keys(folder, user) if own else text
        if not file.exists() or file.read_bytes() != wanted.encode():
            files.write_text(file, wanted, mode=0o600)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()

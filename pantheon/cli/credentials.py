"""The secrets of a deployment: generated once, a file of mode 0600 each; what differs only in form is derived."""

import base64
import json
import os
import secrets
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

GENERATED = ("postgres_password", "airflow_password", "airflow_jwt_secret", "jupyter_token", "dataflow_token")
BUCKET = "pantheon"
S3_USERS = {  # who may do what in the S3 service's bucket, in SeaweedFS's words
    "s3_owner": [f"Admin:{BUCKET}"],  # makes it, and could remove it: for the one-off that makes it alone
    "s3": [f"Read:{BUCKET}", f"List:{BUCKET}", f"Write:{BUCKET}/*", f"Tagging:{BUCKET}/*"],
    "button": [f"Read:{BUCKET}", f"List:{BUCKET}", f"Write:{BUCKET}/models/*"],
}


def word() -> str:
    """Forty letters and digits, so that it fits a URL: 238 bits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def fernet_key() -> str:
    """What Airflow encrypts its connections with: 32 bytes, URL-safe base64 (the Fernet specification)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def make(folder: Path) -> None:
    """Make every secret that is not there yet; one that is there is kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (*GENERATED, *(f"{user}_{part}_key" for user in S3_USERS for part in ("access", "secret"))):
        make_secret(folder / name)
    make_secret(folder / "airflow_fernet_key", fernet_key)
    # libpq and asyncpg take the password from a file of this form: it is in no URL.
    make_secret(folder / "pgpass", lambda: f"*:*:*:*:{read(folder / 'postgres_password')}\n")
    make_secret(folder / "airflow_passwords.json", lambda: json.dumps({"admin": read(folder / "airflow_password")}))
    make_secret(folder / "s3_identities.json", lambda: json.dumps(s3_identities(folder), indent=1))
    make_secret(folder / "s3_grpc.pem", certificate)
    make_secret(folder / "security.toml", seaweedfs_security)
    for user in S3_USERS:  # folders, mounted as they are: a file that is replaced is seen
        (folder / user).mkdir(mode=0o700, exist_ok=True)
        make_secret(folder / user / "credentials", partial(own_keys, folder, user))


def s3_keys(folder: Path, user: str) -> tuple[str, str]:
    """The access key's id and the secret key that the deployment's own S3 service knows ``user`` by."""
    return read(folder / f"{user}_access_key"), read(folder / f"{user}_secret_key")


def s3_identities(folder: Path) -> dict[str, Any]:
    """Who may do what, as SeaweedFS reads it (``-s3.config``)."""

    def identity(user: str, actions: list[str]) -> dict[str, Any]:
        access, secret = s3_keys(folder, user)
        return {"name": user, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}

    return {"identities": [identity(user, actions) for user, actions in S3_USERS.items()]}


def certificate() -> str:
    """A key and its self-signed certificate, PEM, by which the parts of SeaweedFS know each other and refuse others.

    Nobody else is to trust it and nothing checks its dates but these parts, so it has no end (RFC 5280, 4.1.2.5).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pantheon s3")])
    begin, end = datetime.now(UTC) - timedelta(days=1), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    signed = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
        key, hashes.SHA256()
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + signed.public_bytes(serialization.Encoding.PEM)
    return text.decode()


def seaweedfs_security() -> str:
    """``security.toml``: what SeaweedFS asks of who comes by another way than S3, be it its own parts.

    Requests over HTTP carry a token, gRPC connections the certificate. Both files are found in the working folder.
    """
    tokens = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    parts = [f'[{each}]\nkey = "{word()}"' for each in tokens]
    parts.append('[grpc]\nca = "s3_grpc.pem"')
    parts += [
        f'[grpc.{each}]\ncert = "s3_grpc.pem"\nkey = "s3_grpc.pem"'
        for each in ("master", "volume", "filer", "s3", "client")
    ]
    return "\n".join(parts) + "\n"


def own_keys(folder: Path, user: str) -> str:
    return aws_file(*s3_keys(folder, user))


def aws_file(access: str, secret: str, token: str = "") -> str:
    """Keys in the form that every AWS program reads (AWS_SHARED_CREDENTIALS_FILE)."""
    lines = ["[default]", f"aws_access_key_id = {access}", f"aws_secret_access_key = {secret}"]
    return "\n".join([*lines, *([f"aws_session_token = {token}"] if token else [])]) + "\n"


def use_s3_keys(folder: Path, text: str = "") -> None:
    """Have every service use these keys of another S3 from its next request on; none: the deployment's own again.

    Args:
        text: as ``aws_file`` makes it.
    """
    own = text in ("", own_keys(folder, "s3"))  # of ours, each user has keys of its own
    for user in ("s3", "button"):
        file = folder / user / "credentials"
        wanted = own_keys(folder, user) if own else text
        if not file.exists() or file.read_bytes() != wanted.encode():
            write_part(file, wanted).replace(file)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def make_secret(path: Path, value: Callable[[], str] = word) -> None:
    """A secret in a file of mode 0600: whole or absent, and one that is there is kept."""
    if path.exists():
        return
    part = write_part(path, value())
    try:
        os.link(part, path)  # of two commands at once, the first one's stays
    except FileExistsError:
        pass
    finally:
        part.unlink()


def write_part(path: Path, text: str) -> Path:
    """A file of mode 0600 beside ``path``, to take its place."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return part

"""``CA=`` holds for S3: ``up`` trusts a server with a certificate of the company's authority."""

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.command_line import make_pantheon

KEYS = {"AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": "secret"}
REFUSAL = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>"


class Refusing(BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", str(len(REFUSAL)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(REFUSAL)

    do_GET = do_HEAD = do_PUT = answer

    def log_message(self, *_: Any) -> None:
        pass


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and its self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "company")]), datetime.now(UTC)
    begin, end = now - timedelta(days=1), now + timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    pem = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    (folder / "company.pem").write_bytes(pem.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "company.pem"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    key, pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_check_of_an_s3_store_trusts_the_certificates_that_are_given(tmp_path: Path, endpoint: str) -> None:
    up = ("up", "nemesis", "--no-run", "--s3-endpoint-url", endpoint)
    # A proxy that does not exist: a store on this machine is asked without it.
    given = KEYS | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    refused = make_pantheon(tmp_path / "home")(*up, check=False, **given)
    assert refused.status == 1
    assert "is not trusted" in refused.message
    assert "CA=company.pem" in refused.message
    trusted = make_pantheon(tmp_path / "home", CA=str(tmp_path / "company.pem"))(*up, check=False, **given)
    assert trusted.status != 0
    assert "is not trusted" not in trusted.message
    assert "key" in trusted.message
    missing = make_pantheon(tmp_path / "home", CA="/none.pem")(*up, check=False, **given)
    assert (missing.status, missing.message.split(". ")[0]) == (2, "CA=/none.pem is not a file")

"""A package index with HTTPS whose certificate nobody trusts, and a forwarding proxy: what a company has."""

import base64
import hashlib
import io
import select
import socket
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certify(ca: Path, server: Path) -> None:
    """Write the certificate of an authority, and a server's for ``localhost`` with its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("A company", "localhost")]
    now, made = datetime.now(UTC), []
    for key, name, is_ca in zip(keys, names, (True, False), strict=True):
        builder = x509.CertificateBuilder(names[0], name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    ca.write_bytes(made[0])
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server.write_bytes(keys[1].private_bytes(*form) + made[1])


def wheel(files: dict[str, str], name: str = "tiny") -> bytes:
    """Return a wheel of the version 1 with these files; those below ``bin/`` are programs."""
    info, scripts = f"{name}-1.dist-info", f"{name}-1.data/scripts"
    inside = {f"{scripts}/{path[4:]}" if path.startswith("bin/") else path: text for path, text in files.items()}
    inside[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    inside[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in inside.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in {**inside, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16  # the mode of a program
            archive.writestr(entry, text)
    return made.getvalue()


@dataclass
class Index:
    """Serves wheels at ``/simple/NAME/``.

    Attributes:
        ca: the certificate to trust.
        asked: the user agents that have asked.
    """

    ca: Path
    address: str
    wheels: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def lock(self, name: str) -> str:
        """Return the lock of one package."""
        return f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(self.wheels[name]).hexdigest()}\n"


@contextmanager
def index(folder: Path, wheels: dict[str, bytes]) -> Iterator[Index]:
    ca, pem = folder / "company ca.pem", folder / "server.pem"
    certify(ca, pem)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.headers.get("User-Agent", ""))
            name = self.path.strip("/").split("/")[1]
            body = wheels.get(name, b"")
            if not self.path.endswith(".whl"):
                file = f"{name}-1-py3-none-any.whl"
                body = f'<!DOCTYPE html><a href="/files/{name}/{file}">{file}</a>'.encode() if body else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html" if body[:1] == b"<" else "application/zip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that distrusts the certificate ends its handshake."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    # Each handshake in its own thread: a client that distrusts the certificate, or says nothing, holds up nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made = Index(ca, f"https://localhost:{server.server_port}/simple", wheels)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Proxy:
    """A proxy that forwards connections, and the places that it was asked for, such as ``localhost:4430``."""

    address: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def proxy() -> Iterator[Proxy]:
    def forward(client: socket.socket) -> None:
        with closing(client):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := client.recv(4096)):
                    return
                head += part
            verb, place, _ = head.decode().split(" ", 2)
            assert verb == "CONNECT", "HTTPS is forwarded as it is"
            made.asked.append(place)
            host, _, port = place.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                while True:
                    for ready in select.select([client, server], [], [])[0]:
                        try:
                            if not (part := ready.recv(65536)):
                                return
                            (server if ready is client else client).sendall(part)
                        except ConnectionError:  # one side has ended
                            return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed: the end
                return
            threading.Thread(target=forward, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)

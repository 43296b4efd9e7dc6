"""A mail server: takes messages by SMTP, with STARTTLS and a password if it is told to."""

import asyncio
import base64
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


class MailServer:
    """Listens on 127.0.0.1 until ``close``; ``received`` has the messages.

    Args:
        certificate: a PEM file with a key; without one, the server has no STARTTLS.
        at_once: speak TLS from the first byte.
        password: of the user ``robot``; empty: no login.
        answers: what to answer to the next messages instead of taking them, such as ``451 Try later``.
    """

    def __init__(
        self, certificate: Path | None = None, at_once: bool = False, password: str = "", answers: tuple[str, ...] = ()
    ) -> None:
        self.received: list[EmailMessage] = []
        self.encrypted: list[bool] = []
        self.password, self.answers, self.at_once = password, list(answers), at_once
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(30)
        self.port = int(self.server.sockets[0].getsockname()[1])

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context if self.at_once else None)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()

    async def _stop(self) -> None:
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secret, known = self.at_once, not self.password

        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say("220 mail.test ready")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                more = ["mail.test", *(["STARTTLS"] if self.context and not secret else [])]
                more += ["AUTH PLAIN"] if self.password else []
                for each in more:
                    say(f"250-{each}")
                say("250 8BITMIME")
            elif verb == "STARTTLS" and self.context:
                say("220 go ahead")
                await writer.drain()
                await writer.start_tls(self.context)
                secret = True
            elif verb == "AUTH":
                known = base64.b64decode(line.split(" ")[2]) == f"\0robot\0{self.password}".encode()
                say("235 welcome" if known else "535 wrong")
            elif verb == "QUIT":
                say("221 bye")
                return
            elif not known:
                say("530 log in first")
            elif verb == "DATA":
                say("354 end with a dot")
                content = b""
                while (part := await reader.readline()) != b".\r\n":
                    content += part.removeprefix(b".") if part.startswith(b"..") else part
                if self.answers:
                    say(self.answers.pop(0))
                else:
                    made = message_from_bytes(content, policy=policy.default)
                    assert isinstance(made, EmailMessage)
                    self.received.append(made)
                    self.encrypted.append(secret)
                    say("250 taken")
            else:  # MAIL, RCPT, RSET, NOOP
                say("250 ok")


def certificate(path: Path) -> Path:
    """Write a certificate of ``localhost`` that signs itself, with its key; clients trust it as ``SSL_CERT_FILE``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(pem)
    return path

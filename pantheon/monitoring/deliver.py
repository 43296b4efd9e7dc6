"""Deliver messages about alerts: to a file, a webhook, and by e-mail. What fails is tried again later, and shown.

Addresses and passwords are secrets: they are in a file of mode 0600, and in no message or log.
"""

import json
import smtplib
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import msgspec

from pantheon import typed
from pantheon.files import lock
from pantheon.monitoring import alerts
from pantheon.monitoring.alerts import Delivery, Notice, State, Told
from pantheon.web.client import pool, problem_of

SETTINGS = "alerts/settings.json"  # in the folder of secrets
FILE = "alerts.jsonl"
LOCK = ".alerts.lock"  # held by whoever changes the state
SECONDS = 10.0  # for a webhook or a mail server to answer
PAUSES = (0.5, 2.0)  # seconds before the next attempts within one delivery
GIVE_UP = timedelta(days=7)
_BUSY = (408, 425, 429, 500, 502, 503, 504)

Tls = Literal["starttls", "tls", "none"]


class Mail(msgspec.Struct, frozen=True):
    """How to send e-mail.

    Attributes:
        sender: the address in From.
        user, password: of the mail server; empty: it wants none.
        tls: ``starttls``; ``tls`` from the first byte (usually port 465); ``none``: in the clear.
    """

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    user: str = ""
    password: str = ""
    tls: Tls = "starttls"


class Channels(msgspec.Struct, frozen=True):
    """Where to tell alerts, besides the file and the report.

    Attributes:
        webhook: a URL; empty: none.
    """

    webhook: str = ""
    mail: Mail | None = None
    version: int = 1

    @property
    def names(self) -> list[str]:
        return ["file", *(["webhook"] if self.webhook else []), *(["mail"] if self.mail else [])]


class Failed(Exception):
    """A message was not delivered; says why, without secrets."""

    def __init__(self, problem: str, soon: bool = True) -> None:
        super().__init__(problem)
        self.soon = soon  # whether an attempt in some seconds may help


def read_channels(secrets: Path) -> Channels:
    """Read where to tell alerts.

    Raises:
        Damaged: the file is damaged.
    """
    cure = "Set them again: `bin/pantheon alerts mail --help`."
    return typed.read(secrets / SETTINGS, Channels, cure) or Channels()


def deliver(
    folder: Path, channels: Channels, now: datetime | None = None, pause: Callable[[float], object] = time.sleep
) -> State:
    """Deliver what is due, oldest first, and return the state. The state is written after each message.

    Args:
        folder: the monitor's, with the state and the file of alerts. The caller holds its lock.
        now: with a time zone; for tests.
        pause: waits for so many seconds.
    """
    state, failing = alerts.read(folder), set[str]()
    at = now or datetime.now(UTC)
    for delivery in list(state.waiting):
        if delivery.channel not in channels.names:  # it was removed meanwhile
            state.waiting.remove(delivery)
            continue
        due = not delivery.again or datetime.fromisoformat(delivery.again) <= at
        if not due or delivery.channel in failing:  # in order: the end of an alert is never told before its beginning
            failing.add(delivery.channel)
            continue
        problem = _attempts(delivery, folder, channels, pause)
        if problem:
            failing.add(delivery.channel)
            delivery.tries += 1
            delivery.problem, delivery.again = problem, alerts.later(at, delivery.tries)
            if at - datetime.fromisoformat(delivery.notice.at) < GIVE_UP:
                alerts.write(folder, state)
                continue
        state.waiting.remove(delivery)
        state.told = [*state.told, Told(at.isoformat(), delivery.channel, delivery.notice.title, problem)]
        state.told = state.told[-alerts.RECENT :]
        alerts.write(folder, state)
    alerts.write(folder, state)
    return state


def again(folder: Path, secrets: Path) -> None:
    """Try to deliver what is waiting.

    Raises:
        PantheonError: a file is damaged.
    """
    if (folder / alerts.STATE).exists() and alerts.read(folder).waiting:
        with lock(folder / LOCK):
            deliver(folder, read_channels(secrets), pause=lambda seconds: None)


def _attempts(delivery: Delivery, folder: Path, channels: Channels, pause: Callable[[float], object]) -> str:
    """Try to deliver a message; return why it failed, or nothing."""
    for wait in (*PAUSES, None):
        try:
            send(delivery.channel, delivery.notice, folder, channels)
        except Failed as failed:
            if wait is None or not failed.soon:
                return str(failed)
            pause(wait)
        else:
            return ""
    raise AssertionError


def send(channel: str, notice: Notice, folder: Path, channels: Channels) -> None:
    """Deliver one message through one channel.

    Raises:
        Failed: it was not delivered.
    """
    if channel == "file":
        to_file(folder / FILE, notice)
    elif channel == "webhook":
        to_webhook(channels.webhook, notice)
    elif channels.mail:
        to_mail(channels.mail, notice)


def as_json(notice: Notice) -> dict[str, str]:
    """Return a message as JSON; ``text`` is what chat programs (Slack, Mattermost, Rocket.Chat) show."""
    whole = f"{notice.title}\n{notice.words}"
    return {**msgspec.to_builtins(notice), "title": notice.title, "text": whole, "what_happened": notice.text}


def to_file(path: Path, notice: Notice) -> None:
    """Append a line of JSON, unless the message is there already."""
    try:
        with suppress(FileNotFoundError), path.open("rb") as file:  # it was written, but the state was not
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            if notice.id.encode() in file.read():
                return
        with path.open("ab") as file:
            file.write(json.dumps(as_json(notice), ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise Failed(f"{path.name} cannot be written: {error.strerror}", soon=False) from None


def to_webhook(url: str, notice: Notice) -> None:
    """POST a message as JSON."""
    import urllib3

    headers = {"Content-Type": "application/json", "User-Agent": "pantheon", "Idempotency-Key": notice.id}
    body = json.dumps(as_json(notice)).encode()
    try:
        answer = pool().request("POST", url, body=body, headers=headers, timeout=SECONDS, retries=False, redirect=False)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        problem = problem_of(error, SECONDS)
        for secret in (url, url.partition("://")[2]):
            problem = problem.replace(secret, "its address")
        raise Failed(f"the webhook does not answer: {problem}") from None
    if answer.status >= 300:
        raise Failed(f"the webhook answered with status {answer.status}", soon=answer.status in _BUSY)


def to_mail(mail: Mail, notice: Notice) -> None:
    """Send a message by SMTP."""
    try:
        with _connected(mail) as server:
            if mail.user:
                server.login(mail.user, mail.password)
            server.send_message(message(mail, notice))
    except smtplib.SMTPAuthenticationError:
        raise Failed(f"the mail server {mail.host} refused user and password", soon=False) from None
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise Failed(
            f"the mail server {mail.host} answered {error.smtp_code} {text}"[:300], error.smtp_code < 500
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        raise Failed(f"the mail server {mail.host} refused {', '.join(error.recipients)}", soon=False) from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise Failed(f"the mail server {mail.host}, port {mail.port}: {what}"[:300]) from None


def _connected(mail: Mail) -> smtplib.SMTP:
    """Return a connection to the mail server, encrypted unless ``tls`` is ``none``."""
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(mail.host, mail.port, timeout=SECONDS)
    try:
        if mail.tls == "starttls":
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


def message(mail: Mail, notice: Notice) -> EmailMessage:
    """Return a message as e-mail. Its parts may contain what users sent, so line breaks are removed from headers."""
    made = EmailMessage()
    made["Subject"] = " ".join(f"[pantheon] {notice.title}".split())
    made["From"], made["To"] = mail.sender, ", ".join(mail.to)
    made["Date"] = datetime.now(UTC)
    made["Message-ID"] = f"<{notice.id}@pantheon>"
    made["Auto-Submitted"] = "auto-generated"
    about = f"Model {notice.model}, version {notice.version or 'none'}; window until {notice.at} (UTC)."
    made.set_content(f"{notice.words}\n\n{about}\nThe report: bin/pantheon monitor --last\n")
    return made

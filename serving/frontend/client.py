"""The endpoint's HTTP API, as far as this application uses it. The API key stays here: no browser sees it."""

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

FRESH_SECONDS = 3.0  # that a signature is used without asking again
SIGNATURE = urllib3.Timeout(connect=2, read=3)
PREDICTION = urllib3.Timeout(connect=2, read=7)  # the endpoint itself gives up after 5 s
PAUSE = "The service does not answer at the moment."


class Away(Exception):
    """The endpoint cannot answer now; the message is for people.

    Args:
        silent: whether there was no answer at all.
    """

    def __init__(self, message: str, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class Refused(Exception):
    """The endpoint does not accept what was sent; the message is for people.

    Args:
        field: the input that is wrong; empty if it is not one input.
        expected: what the endpoint accepts there.
        missing: whether a required value is missing.
    """

    def __init__(self, message: str, field: str = "", expected: str = "", missing: bool = False) -> None:
        super().__init__(message)
        self.message, self.field, self.expected, self.missing = message, field, expected, missing


@dataclass(frozen=True)
class Reply:
    """The endpoint's answer to one row.

    Attributes:
        id: of the request, under which the endpoint's log has it; feedback names it.
        prediction: a class, or a number.
        explanation: as the endpoint gives it; None: there is none.
        notes: sentences about values that the model does not know.
    """

    id: str
    version: str
    prediction: Any
    explanation: dict[str, Any] | None
    notes: list[str]


class Endpoint:
    """Calls the endpoint. Thread-safe.

    Args:
        address: such as ``http://127.0.0.1:8085``.
        key: the file with the API key; read for every request, so that a new key needs no restart.
        kept: a file for the last signature: the form is there even if the endpoint is away when this process starts.
        model: which model to ask; empty: the endpoint's default.

    Attributes:
        signature: the model's inputs and output as the endpoint described them last; None: never.
        away: why the endpoint did not answer the last request, for people; empty if it did.
    """

    def __init__(self, address: str, key: Path, kept: Path, model: str = "") -> None:
        self.address, self.key, self.kept, self.model = address.rstrip("/"), key, kept, model
        self.pool = urllib3.PoolManager(maxsize=16)
        self.away = ""
        self.signature: dict[str, Any] | None = _read(kept)
        self._asked = 0.0  # when the signature was asked for
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name in addresses."""
        return self.model or str((self.signature or {}).get("name", ""))

    def refresh(self, force: bool = False) -> None:
        """Ask for the signature, unless that was done just now or would be in vain; ``away`` says whether it worked.

        Args:
            force: ask even if the endpoint was away a moment ago.
        """
        if self.away and not force:  # the outbox looks whether it is back: nobody waits for that
            return
        with self._lock:  # requests that come together ask once
            now = time.monotonic()
            if not force and self._asked and now - self._asked < FRESH_SECONDS:
                return
            try:
                query = f"?model={quote(self.model, safe='')}" if self.model else ""
                signature, _ = self._ask("GET", f"/signature{query}", timeout=SIGNATURE)
                if not (isinstance(signature, dict) and signature.get("inputs") and signature.get("output")):
                    raise self._gone("its signature is not one", PAUSE)
                if signature != self.signature:
                    self.signature = signature
                    _keep(self.kept, signature)
            except (Away, Refused):
                pass
            finally:
                self._asked = time.monotonic()

    def predict(self, row: dict[str, Any], browser: str) -> Reply:
        """Predict and explain one row.

        Args:
            row: JSON values by input; without those that were left empty.
            browser: sent as ``x-browser``, so that a routing policy can give a browser the same version every time.

        Raises:
            Away: no answer; Refused: the row is not valid.
        """
        path, body, headers = f"/v1/models/{quote(self.name, safe='')}", {"instances": [row]}, {"x-browser": browser}
        try:
            value, got = self._ask("POST", f"{path}:explain", body, headers, PREDICTION)
        except (Away, Refused) as error:
            if error.field if isinstance(error, Refused) else error.silent:
                raise
            # Explaining takes longer than predicting, and some models cannot be explained: an answer matters more.
            value, got = self._ask("POST", f"{path}:predict", body, headers, PREDICTION)
        try:
            (prediction,), explanations = value["predictions"], value.get("explanations")
            return Reply(
                got["x-request-id"],
                got["x-model-version"],
                prediction,
                explanations[0] if explanations else None,
                [str(note) for note in value.get("notes", [])],
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._gone(f"its answer has another form: {error!r}", PAUSE) from None

    def say(self, feedback: dict[str, Any]) -> None:
        """Send feedback. Sending it again changes nothing: the endpoint knows it by request and row.

        Raises:
            Away: no answer; Refused: it will never be accepted.
        """
        self._ask("POST", "/feedback", feedback, timeout=PREDICTION)

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: urllib3.Timeout = PREDICTION,
    ) -> tuple[Any, Any]:
        """Return the answer's JSON value and headers."""
        try:
            token = self.key.read_text(encoding="utf-8").strip()
            sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})}
            data = None if body is None else json.dumps(body).encode()
            got = self.pool.request(
                method, self.address + path, body=data, headers=sent, timeout=timeout, retries=False, redirect=False
            )
            value = json.loads(got.data)
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise self._gone(_why(error), PAUSE, silent=True) from None
        if got.status == 200:
            self._back()
            return value, got.headers
        try:
            told = value["error"]
            message, field = str(told["message"]), str(told["field"] or "")
            expected, missing = str(told["expected"] or ""), told["got"] == "nothing"
        except (KeyError, TypeError):
            message, field, expected, missing = f"status {got.status}", "", "", False
        if got.status in (400, 413, 415, 422):
            self._back()
            raise Refused(message, field, expected, missing)
        if got.status == 429:
            raise self._gone(message, "Too many people are asking at the moment. Try again in a minute.")
        raise self._gone(f"status {got.status}: {message}", PAUSE)

    def _gone(self, why: str, text: str, silent: bool = False) -> Away:
        if not self.away:
            print(f"frontend: the endpoint at {self.address} cannot answer: {why}", file=sys.stderr, flush=True)
        self.away = text
        return Away(text, silent)

    def _back(self) -> None:
        if self.away:
            print(f"frontend: the endpoint at {self.address} answers again", file=sys.stderr, flush=True)
        self.away = ""


def _why(error: BaseException) -> str:
    """Return the operating system's reason if there is one, such as ``Connection refused``; never what was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _keep(path: Path, value: dict[str, Any]) -> None:
    """Write a file whole or not at all. Without it the form is missing only after a restart while the endpoint is
    away, so a full disk is not a reason to fail."""
    new = path.with_name(f"{path.name}.{threading.get_ident()}.new")
    try:
        new.write_text(json.dumps(value), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        print(f"frontend: the signature cannot be kept: {error.strerror}", file=sys.stderr, flush=True)

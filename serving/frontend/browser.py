"""What is known of a browser: a random number and its last answers, in a signed cookie, and nothing on the server.

The cookie holds what the person entered, so it is neither logged nor stored here; forgetting it deletes all there is.
"""

import base64
import hmac
import json
import secrets
import zlib
from dataclasses import asdict, dataclass, field, replace

from .answer import Answer

MOST = 12  # answers
BYTES = 3_800  # of the cookie's value; browsers keep 4,096 with its name
CHARACTERS = 2_000  # of all values of one answer; without a limit, a cookie of one letter would unpack to megabytes
DAYS = 90


@dataclass
class Browser:
    """One browser.

    Attributes:
        id: random; "" for none.
        answers: the newest first.
    """

    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    answers: list[Answer] = field(default_factory=list)

    def find(self, request: str) -> Answer | None:
        return next((answer for answer in self.answers if answer.id == request), None)

    def add(self, answer: Answer) -> None:
        """Put an answer first; long values are not kept with it."""
        if sum(map(len, answer.values.values())) > CHARACTERS:
            answer = replace(answer, values={})
        self.answers = [answer, *self.answers][:MOST]


class Cookies:
    """Reads and writes the cookie, and makes the tokens of forms.

    Args:
        secret: signs both.
        name: the cookie's. Browsers send cookies to all ports of a machine, so it should have the port in it.
        secure: whether browsers may send it only by HTTPS.
    """

    def __init__(self, secret: str, name: str, secure: bool = False) -> None:
        if len(secret) < 32:
            raise ValueError("the secret has less than 32 characters")
        self.secret, self.name, self.secure = secret.encode(), name, secure

    def read(self, header: str) -> Browser | None:
        """Return the browser of a ``Cookie`` header; None if it has no cookie of ours, or one that was changed."""
        for each in header.split(";"):
            name, _, value = each.strip().partition("=")
            if name != self.name or len(value) > BYTES:
                continue
            text, _, mark = value.rpartition(".")
            if not hmac.compare_digest(mark.encode(errors="replace"), self.mark("cookie", text).encode()):
                continue
            try:
                raw = json.loads(zlib.decompress(base64.urlsafe_b64decode(text)))
                return Browser(raw["id"], [Answer(**answer) for answer in raw["answers"]])
            except (ValueError, zlib.error, KeyError, TypeError):
                continue  # of another release
        return None

    def write(self, browser: Browser) -> str:
        """Return the ``Set-Cookie`` header; the oldest answers are left out if there is no room for all."""
        answers = [asdict(answer) for answer in browser.answers]
        while len(value := self._signed(browser.id, answers)) > BYTES:
            if len(answers) == 1 and answers[0]["values"]:
                answers[0]["values"] = {}  # hundreds of inputs
            else:
                answers.pop()
        attributes = f"Path=/; Max-Age={DAYS * 86400}; HttpOnly; SameSite=Lax{'; Secure' if self.secure else ''}"
        return f"{self.name}={value}; {attributes}"

    def _signed(self, number: str, answers: list[dict[str, object]]) -> str:
        raw = json.dumps({"id": number, "answers": answers}, ensure_ascii=False, separators=(",", ":"))
        text = base64.urlsafe_b64encode(zlib.compress(raw.encode(errors="replace"), 9)).decode()
        return f"{text}.{self.mark('cookie', text)}"

    def token(self, browser: Browser, action: str) -> str:
        """Return the token of a form (against CSRF): only this server makes it, and only for this browser."""
        return self.mark("form", browser.id, action)

    def is_token(self, token: str, browser: Browser, action: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self.token(browser, action).encode())

    def mark(self, *parts: str) -> str:
        digest = hmac.digest(self.secret, "\0".join(parts).encode(errors="replace"), "sha256")
        return base64.urlsafe_b64encode(digest[:18]).decode()

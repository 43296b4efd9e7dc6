"""Run the page and POST /predict in one process: ``python -m serving.button``.

Environment: ``STATE_DIR`` the deployment's state folder, ``BUTTON_HOST`` the address to bind, ``BUTTON_PORT``,
``BUTTON_HOSTS`` additional allowed host names, comma-separated, ``BUTTON_PASSWORD_FILE`` the file with the page's
password (without it, nobody can log in), ``BUTTON_DIR`` a folder of the button's own.
``ENDPOINT_URL``, ``PREDICTIONS_URL`` and ``FEATURES_URL``: where the endpoint, the log's service and the feature store
are, once the deployment has them; ``FEATURES_KEY_FILE``: the file with the feature store's key.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: its thread pool is not used

from pantheon.store import open_store  # noqa: E402
from pantheon.web.granian import leave  # noqa: E402
from pantheon.web.messages import Quick, Response  # noqa: E402
from pantheon.web.server import Request  # noqa: E402
from pantheon.web.wsgi import Wsgi  # noqa: E402
from serving import memory, process  # noqa: E402
from serving.endpoint.api import Api  # noqa: E402
from serving.endpoint.guard import Guard, fenced, repeated  # noqa: E402
from serving.endpoint.remote import Endpoint  # noqa: E402
from serving.model.champion import Champion  # noqa: E402
from serving.page.access import Access  # noqa: E402
from serving.page.app import FORM_BYTES, Page, application  # noqa: E402
from serving.problems import Problem  # noqa: E402
from serving.questions.answers import Questions  # noqa: E402
from serving.questions.entities import Entities  # noqa: E402
from serving.questions.reader import Reader  # noqa: E402
from serving.questions.requests import Requests  # noqa: E402
from serving.remote import features  # noqa: E402
from serving.remote.handover import Handover  # noqa: E402
from serving.remote.log import Log  # noqa: E402
from serving.state import State  # noqa: E402

ENDPOINT, LOG = "http://127.0.0.1:8085", "http://127.0.0.1:8086"
THREADS = 8  # for pages and reads of the store


class Button:
    """The service, an application for ``pantheon.web.server``.

    Args:
        state: the deployment's state folder.
        port: the port in the page's address.
        hosts: additional allowed hosts.
        password: the file with the page's password.
        own: a folder of the button's own.
        endpoint, log, feature_store: the addresses of the endpoint, of the log's service and of the feature store, for
            deployments that have them.
        feature_key: the file with the feature store's key.
    """

    def __init__(
        self,
        state: Path,
        port: int,
        hosts: Iterable[str] = (),
        *,
        password: Path,
        own: Path,
        endpoint: str = ENDPOINT,
        log: str = LOG,
        feature_store: str = features.ADDRESS,
        feature_key: Path | None = None,
    ) -> None:
        folder = State(state)
        key = password.parent / "endpoint_key"
        store = open_store(state, retry_seconds=0)  # do not wait for an unreachable S3: it is polled again soon
        threads = ThreadPoolExecutor(THREADS, "page")
        self.champion = Champion(folder, store)
        handover = Handover(folder)
        self.endpoint = Endpoint(endpoint, key, handover)
        reader, asked = Reader(store), Log(log, key)
        known = features.Features(feature_store, feature_key or password.parents[1] / "features" / "key", handover)
        requests, entities = Requests(asked, handover, reader, folder), Entities(known, folder)
        questions = Questions(folder, reader, self.champion, requests, entities)
        self.guard = Guard(port, hosts)
        self.api = Api(self.champion, questions, threads, self.endpoint)
        self.access = Access(password, own / "ended", port)
        self.pages = Page(folder, store, self.champion, questions, self.access, self.endpoint)
        self.page = Wsgi(application(self.pages), threads, FORM_BYTES)

    def start(self) -> None:
        """Load the champion, and follow its changes."""
        self.champion.refresh()
        self.champion.start()

    async def __call__(self, request: Request) -> Response:
        if why := self.guard.refusal(request):
            return self.refuse(403, why)
        if name := repeated(request.query):
            return self.refuse(400, f'The query has "{name}" more than once.')
        if not self.access.is_open(request.path) and not self.may(request):
            return fenced(self.closed(request))
        app = self.api if request.path in self.api.routes else self.page
        return fenced(await app(request))

    def may(self, request: Request) -> bool:
        cookies, authorization, origin = map(request.header, ("cookie", "authorization", "origin"))
        return self.access.allowed(request.method, cookies, authorization, origin)

    def closed(self, request: Request) -> Response:
        """Return the answer to a request that needs a login."""
        challenge = ("www-authenticate", "Bearer")
        if request.path in self.api.routes:
            return Problem(401, "This needs a login; the page's login form says how.", headers=(challenge,)).response()
        headers = [challenge, ("cache-control", "no-store"), ("content-type", "text/html;charset=utf-8")]
        if request.header("hx-request"):  # a page whose session has ended: htmx opens the login
            return Response(401, b"", [*headers, ("hx-redirect", "/login?why=ended")])
        nothing = "" if request.method in ("GET", "HEAD") else " Nothing was changed."
        return Response(401, self.pages.login_page(f"This needs a login.{nothing}").encode(), headers)

    def quick(self, request: Request) -> Quick | None:
        return None if self.guard.refusal(request) else self.api.quick(request)

    def refuse(self, status: int, message: str) -> Response:
        return fenced(Problem(status, message).response())


def main() -> int:
    memory.limit()
    given = process.settings("button", 8080)
    if given is None:
        return 2
    own = Path(os.environ.get("BUTTON_DIR") or given.state / "volumes" / "button")
    password = Path(os.environ.get("BUTTON_PASSWORD_FILE") or given.state / "secrets" / "button" / "password")
    addresses = {
        "endpoint": os.environ.get("ENDPOINT_URL") or ENDPOINT,
        "log": os.environ.get("PREDICTIONS_URL") or LOG,
        "feature_store": os.environ.get("FEATURES_URL") or features.ADDRESS,
    }
    named = os.environ.get("FEATURES_KEY_FILE")
    key = Path(named) if named else None
    button = Button(given.state, given.port, given.hosts, password=password, own=own, feature_key=key, **addresses)
    return process.run(given, button, button.start, button.champion.stop)


if __name__ == "__main__":
    leave(main())

"""Run the instructor's page: ``python -m serving.instructor``.

Environment: ``STATE_DIR`` the workshop's folder, ``INSTRUCTOR_PORT``.
"""

from concurrent.futures import ThreadPoolExecutor

from pantheon.web.granian import leave
from pantheon.web.messages import Quick, Response
from pantheon.web.server import Request
from pantheon.web.wsgi import Wsgi
from pantheon.workshop.place import Place
from serving import memory, process
from serving.endpoint.guard import Guard, fenced, repeated
from serving.instructor.app import FORM_BYTES, Board, application
from serving.page.access import Access
from serving.problems import Problem

THREADS = 4
OPEN = ("/login", "/healthz")


class Service:
    """The pages as an application for ``pantheon.web.server``; all but the login need a login."""

    def __init__(self, place: Place, port: int) -> None:
        self.guard = Guard(port)
        self.access = Access(place.password, place.password.parent / "ended", port)
        self.board = Board(place, self.access)
        self.pages = Wsgi(application(self.board), ThreadPoolExecutor(THREADS, "page"), FORM_BYTES)

    async def __call__(self, request: Request) -> Response:
        if why := self.guard.refusal(request):
            return self.refuse(403, why)
        if name := repeated(request.query):
            return self.refuse(400, f'The query has "{name}" more than once.')
        if request.path == "/healthz":
            return fenced(Response(200, b"ok\n", [("content-type", "text/plain")]))
        if request.path not in OPEN and not request.path.startswith("/static/") and not self.may(request):
            headers = [("cache-control", "no-store"), ("content-type", "text/html;charset=utf-8")]
            return fenced(Response(401, self.board.login_page("This needs a login.").encode(), headers))
        return fenced(await self.pages(request))

    def may(self, request: Request) -> bool:
        cookies, authorization, origin = map(request.header, ("cookie", "authorization", "origin"))
        return self.access.allowed(request.method, cookies, authorization, origin)

    def refuse(self, status: int, message: str) -> Response:
        return fenced(Problem(status, message).response())

    def quick(self, request: Request) -> Quick | None:
        return None


def main() -> int:
    memory.limit()
    given = process.settings("instructor", 8060)
    if given is None:
        return 2
    return process.run(given, Service(Place(given.state), given.port), lambda: None, lambda: None)


if __name__ == "__main__":
    leave(main())

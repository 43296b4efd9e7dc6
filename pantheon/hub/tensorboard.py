"""TensorBoard behind the login of JupyterHub: ``python -m pantheon.hub.tensorboard``. One board for each profile.

TensorBoard has no login, and no users. It runs in this process, so nothing else can reach it, and a person only sees
boards of profiles in which they have a role. It reads event files without TensorFlow and without its own data server,
which would open a port.

Environment: ``TENSORBOARD_DIR`` the folder of event files, ``PROFILE/NAME/…``; ``TENSORBOARD_BIND``; see ``front``.
"""

import html
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.hub import front
from pantheon.hub.oauth import POLICY, USER, Application, Environ
from pantheon.hub.roles import EVERY
from pantheon.hub.session import User
from pantheon.web.granian import leave

RELOAD_SECONDS = 5.0  # between two looks for new events
SEE = "tensorboard.see"


class Held:
    """What TensorBoard takes for the server of its application: it only keeps it."""

    def __init__(self, app: Application, _: Any) -> None:
        self.app = app

    def serve_forever(self) -> None:
        """Return at once: requests come by ``Boards``."""

    def get_url(self) -> str:
        return ""


def board(folder: Path, prefix: str) -> Application:
    """Start a TensorBoard that reads ``folder`` and answers below the path ``prefix``."""
    from tensorboard import program

    made: list[Held] = []

    def server(app: Application, flags: Any) -> Held:
        made.append(Held(app, flags))
        return made[0]

    tensorboard = program.TensorBoard(server_class=server)
    tensorboard.configure(
        logdir=str(folder), path_prefix=prefix, load_fast="false", reload_interval=RELOAD_SECONDS, bind_all=False
    )
    tensorboard.launch()
    return made[0].app


class Boards:
    """The boards of all profiles, each made when it is first opened (WSGI)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._boards: dict[str, Application] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        user: User = environ[USER]
        profile, slash, _ = environ["PATH_INFO"].removeprefix("/").partition("/")
        seen = self.profiles(user)
        if not profile:
            return self.choice(seen, start_response)
        if profile not in seen:
            return refused(start_response, user, profile)
        if not slash:
            return moved(start_response, f"/{profile}/")
        return self.of(profile)(environ, start_response)

    def profiles(self, user: User) -> list[str]:
        """Return the profiles whose board a user may see."""
        named = set(user.profiles) - {EVERY}
        if EVERY in user.profiles and self.folder.is_dir():
            named |= {path.name for path in self.folder.iterdir() if path.is_dir()}
        return sorted(profile for profile in named if user.may(SEE, profile))

    def of(self, profile: str) -> Application:
        with self._lock:
            if profile not in self._boards:
                self._boards[profile] = board(self.folder / profile, f"/{profile}")
            return self._boards[profile]

    def choice(self, profiles: list[str], start_response: Any) -> Iterable[bytes]:
        """Answer ``/``: the only board, or a list of them."""
        if len(profiles) == 1:
            return moved(start_response, f"/{profiles[0]}/")
        links = "".join(f'<li><a href="/{html.escape(each)}/">{html.escape(each)}</a></li>' for each in profiles)
        nothing = "<p>There are no curves yet: experiments and train jobs make them.</p>"
        text = (
            f"<!doctype html><title>TensorBoard</title><h1>TensorBoard</h1>{f'<ul>{links}</ul>' if links else nothing}"
        )
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", POLICY)])
        return [text.encode()]


def moved(start_response: Any, path: str) -> Iterable[bytes]:
    start_response("302 Found", [("Location", path), ("Content-Type", "text/plain")])
    return [b""]


def refused(start_response: Any, user: User, profile: str) -> Iterable[bytes]:
    """The same answer for a profile that does not exist and one that others have; who has a role in all may know."""
    status = "404 Not Found" if EVERY in user.profiles else "403 Forbidden"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    if EVERY in user.profiles:
        return [f"No experiment or train job of a profile {profile[:63]!r} has written curves.\n".encode()]
    cause = f"{user.name} has no role in a profile {profile[:63]!r}."
    return [f"{cause} An administrator gives one: bin/pantheon profiles grant --help\n".encode()]


def main() -> int:
    boards = Boards(Path(os.environ["TENSORBOARD_DIR"]))
    try:
        login = front.guarded(boards, "tensorboard", "TensorBoard")
    except (PantheonError, OSError) as error:
        print(f"tensorboard: {error}", file=sys.stderr)
        return 1
    return front.serve(login, os.environ.get("TENSORBOARD_BIND") or "127.0.0.1")


if __name__ == "__main__":
    leave(main())

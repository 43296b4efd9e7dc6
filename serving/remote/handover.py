"""Whether the endpoint answers the button's requests. `up` says so in the settings once the endpoint is healthy."""

from time import monotonic

from pantheon.errors import PantheonError
from pantheon.state import Route, published, published_file
from serving.state import State

CHECK_SECONDS = 0.5  # between looks at the settings
ENDPOINT = "endpoint"
FEAST = "feast"


class Handover:
    """Follows the deployment's settings, so that the button needs no restart. Cheap: asked for every request.

    Attributes:
        log: the setting ``LOG=``; see ``Settings.log``.
    """

    def __init__(self, state: State) -> None:
        self._state, self._file = state, published_file(state.folder)
        self._next, self._stamp = 0.0, (0, 0)
        self._route, self.log = Route(), ""

    @property
    def route(self) -> Route:
        """The components that do the work, as last read from settings that were not damaged."""
        if monotonic() >= self._next:
            self.look()
        return self._route

    @property
    def active(self) -> bool:
        return self.route.answers == ENDPOINT

    @property
    def features(self) -> bool:
        """Whether the deployment has a feature store."""
        return self.route.features == FEAST

    def look(self) -> bool:
        """Read the settings now, if they have changed; return whether the endpoint answers."""
        self._next = monotonic() + CHECK_SECONDS
        try:
            status = self._file.stat()
            if (stamp := (status.st_mtime_ns, status.st_ino)) != self._stamp:
                settings = published(self._state.folder)
                self._route, self.log, self._stamp = settings.route, settings.log, stamp
        except (OSError, PantheonError):
            pass  # missing or damaged: what was known still counts, so that nothing is answered without the log
        return self._route.answers == ENDPOINT

    @property
    def unlogged(self) -> bool:
        """Whether the button may answer by itself if the endpoint does not answer."""
        return self.log in ("best-effort", "off")

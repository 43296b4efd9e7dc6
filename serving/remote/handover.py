"""Whether the endpoint answers the button's requests. `up` says so in the settings once the endpoint is healthy."""

from time import monotonic

from pantheon.errors import PantheonError
from pantheon.state import published, published_file
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
        self._active, self._features, self.log = False, False, ""

    @property
    def active(self) -> bool:
        if monotonic() >= self._next:
            self.look()
        return self._active

    def look(self) -> bool:
        """Read the settings now, if they have changed; return whether the endpoint answers."""
        self._next = monotonic() + CHECK_SECONDS
        try:
            status = self._file.stat()
        except OSError:
            return self._active
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            try:
                settings = published(self._state.folder)
            except PantheonError:  # damaged: what was known still counts, so that nothing is answered without the log
                return self._active
            self._active, self.log, self._stamp = settings.route.answers == ENDPOINT, settings.log, stamp
            self._features = settings.route.features == FEAST
        return self._active

    @property
    def features(self) -> bool:
        """Whether the deployment has a feature store."""
        if monotonic() >= self._next:
            self.look()
        return self._features

    @property
    def unlogged(self) -> bool:
        """Whether the button may answer by itself if the endpoint does not answer."""
        return self.log in ("best-effort", "off")

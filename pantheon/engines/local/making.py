"""Create environments in the background while services whose environments are ready already start."""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from pantheon.engines.local.service import Service

WORKERS = 3  # downloading and unpacking overlap; more workers delay the first environment


class Making:
    """The environments of one ``up``.

    Args:
        make: creates the missing environments among the given names.
        names: the environments to create, most urgent first.
    """

    def __init__(self, make: Callable[[list[str]], None], names: Collection[str]) -> None:
        self._pool = ThreadPoolExecutor(WORKERS)
        self._made = {name: self._pool.submit(make, [name]) for name in dict.fromkeys(names)}

    def __enter__(self) -> "Making":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self, names: Collection[str] | None = None) -> None:
        """Wait for these environments, or for all. Raises the errors of ``make``."""
        for name in self._made if names is None else self._made.keys() & set(names):
            self._made[name].result()

    def startable(self, wanted: Mapping[str, Service]) -> list[str]:
        """Return the services whose environments and whose dependencies are ready. Raises the errors of ``make``."""
        ready = {name for name, service in wanted.items() if self._is_ready(environment_of(service))}
        while missing := {name for name in ready if not wanted[name].depends_on.keys() & wanted.keys() <= ready}:
            ready -= missing
        return [name for name in wanted if name in ready]

    def _is_ready(self, name: str) -> bool:
        made = self._made.get(name)
        if made is None or not made.done():
            return made is None
        made.result()
        return True


def environment_of(service: Service) -> str:
    """Return the name of the environment that ``service`` runs in."""
    return Path(service.bin).parent.name

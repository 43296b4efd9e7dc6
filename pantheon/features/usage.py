"""Which versions of which models use a feature view: the run that made a version also made its feature service."""

from collections.abc import Iterable
from typing import Any, Protocol

from pantheon.errors import PantheonError
from pantheon.store import Alias, Version

SHOWN = ("champion", "challenger")


class Models(Protocol):
    """What is asked of the model store."""

    def list(self, name: str) -> list[Version]: ...

    def alias(self, name: str, alias: str = "champion") -> Alias | None: ...


def used_by(models: Models, services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the versions that were trained on these feature services, newest first.

    Args:
        services: ``{"name", "set", "run"}``, as in the catalogue.

    Returns:
        ``[{"model", "version", "service", "aliases": ["champion"]}]``.

    Raises:
        PantheonError, OSError: the store does not answer.
    """
    by_set: dict[str, dict[str, str]] = {}
    for service in services:
        if service["run"]:
            by_set.setdefault(service["set"], {})[service["run"]] = service["name"]
    found: list[dict[str, Any]] = []
    for model, runs in by_set.items():
        versions = [each for each in models.list(model) if each.metadata.get("run") in runs]
        named = _aliases(models, model) if versions else {}
        for each in reversed(versions):
            aliases = [name for name, version in named.items() if version == each.version]
            of = runs[str(each.metadata["run"])]
            found.append({"model": model, "version": each.version, "service": of, "aliases": aliases})
    return found


def _aliases(models: Models, model: str) -> dict[str, str]:
    found = {}
    for name in SHOWN:
        try:
            alias = models.alias(model, name)
        except PantheonError:  # damaged: the versions are still those that use it
            continue
        if alias:
            found[name] = alias.version
    return found


def attach(models: Models, views: Iterable[dict[str, Any]]) -> None:
    """Add ``models`` to the catalogue's views: what ``used_by`` returns; None if the store does not answer."""
    known: dict[str, list[dict[str, Any]]] = {}
    for view in views:
        try:
            for service in view["services"]:
                if service["name"] not in known:
                    known[service["name"]] = used_by(models, [service])
        except (PantheonError, OSError):
            view["models"] = None
            continue
        view["models"] = [each for service in view["services"] for each in known[service["name"]]]

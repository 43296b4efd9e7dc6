"""The resolved compose model: services in start order, which of them `up` starts, and which must complete."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pantheon.engines.definition.keys import ONE_OFF

STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
RawService = dict[str, Any]  # one service as printed by `docker-compose config`


def start_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Sort the names in ``needs`` so that every service follows its dependencies. Compose has already rejected cycles.

    Args:
        needs: a service's name → the names of its dependencies; names that do not exist are skipped.
    """
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in needs and name not in order:
            for needed in sorted(needs[name]):
                visit(needed)
            order.setdefault(name)

    for name in needs:
        visit(name)
    return list(order)


@dataclass(frozen=True)
class Model:
    """The resolved model without the components that the deployment leaves out.

    Attributes:
        raw: Compose's mapping.
        digest: changes if the model changes.
        left_out: service of a component that is left out → the services that depend on it.
    """

    raw: dict[str, Any]
    digest: str = ""
    left_out: Mapping[str, list[str]] = field(default_factory=dict)

    @cached_property
    def services(self) -> dict[str, RawService]:
        """All services in start order, including those with profiles."""
        services: dict[str, RawService] = self.raw["services"]
        order = start_order({name: service.get("depends_on") or {} for name, service in services.items()})
        return {name: services[name] for name in order}

    @cached_property
    def started(self) -> dict[str, RawService]:
        """The services that ``up`` starts: all services without profiles."""
        return {name: service for name, service in self.services.items() if not service.get("profiles")}

    @cached_property
    def must_complete(self) -> frozenset[str]:
        """The one-offs that ``up`` waits for: marked as one-off, or another service depends on their completion."""
        needs = [(service.get("depends_on") or {}).items() for service in self.started.values()]
        waited = {name for items in needs for name, entry in items if entry.get("condition") == COMPLETED}
        return frozenset(waited | {name for name, service in self.started.items() if service.get(ONE_OFF)})

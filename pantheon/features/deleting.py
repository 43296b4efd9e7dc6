"""What ``feast delete`` must not delete: a definition that a version of a model reads, or what this one is made of."""

from collections.abc import Sequence
from typing import Any

from pantheon.errors import PantheonError
from pantheon.features.computing import reads
from pantheon.features.contract import Chosen, View
from pantheon.features.usage import Models, used_by


def refuse_used(name: str, views: Sequence[View], services: Sequence[Chosen], models: Models) -> None:
    """Raise PantheonError if versions of models use the view, the source of a view, the entity or the service ``name``.

    Args:
        views, services: those of ours in the registry.
    """
    used = [each for each in services if name in _needed(each, views)]
    found = used_by(models, [{"name": each.name, "set": each.set, "run": each.run} for each in used])
    if not found:
        return
    named = ", ".join(_version(each) for each in found[:3])
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
    what = f"{name!r} cannot be deleted: these versions of models use it: {named}{more}."
    raise PantheonError(what, "Old versions that nothing needs can be removed first: `models gc --keep 10`")


def _needed(service: Chosen, views: Sequence[View]) -> set[str]:
    """Return the names that the features of a service depend on."""
    by_name = {view.name: view for view in views}
    named = [by_name[each] for each in {ref.partition(":")[0] for ref in service.features} if each in by_name]
    sources = [view for view in views if any(reads(each, view) for each in named)]
    return {service.name} | {name for view in (*named, *sources) for name in (view.name, view.key)}


def _version(found: dict[str, Any]) -> str:
    aliases = f" ({', '.join(found['aliases'])})" if found["aliases"] else ""
    return f"version {found['version']} of {found['model']}{aliases}"

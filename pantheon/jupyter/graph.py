"""Which notebooks run which stages, and in which order. Read from ``graph.toml``."""

from functools import cache
from pathlib import Path

import msgspec
from msgspec import toml

from pantheon.state import Route

DATA = Path(__file__).with_name("graph.toml")
DEFAULT = "jupyter"  # whose notebooks a deployment gets if the component that leads `rest` has no notebooks


class Notebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notebook; ``graph.toml`` explains the keys."""

    stages: tuple[str, ...]
    after: tuple[str, ...] = ()
    rest: str = ""
    models: str = ""


@cache
def notebooks() -> dict[str, Notebook]:
    """Return every notebook that runs stages, by name."""
    return toml.decode(DATA.read_bytes(), type=dict[str, Notebook])


def graph_of(route: Route) -> dict[str, tuple[str, ...]]:
    """Return a deployment's notebooks in a valid order of execution: name → the notebooks that must run before."""
    every = notebooks()
    rest = route.rest if any(notebook.rest == route.rest for notebook in every.values()) else DEFAULT
    first = tuple(name for name, notebook in every.items() if notebook.models and notebook.models == route.models)
    return dict.fromkeys(first, ()) | {
        name: notebook.after or first
        for name, notebook in every.items()
        if notebook.rest == rest and not notebook.models
    }


def stages_of(name: str) -> tuple[str, ...]:
    """Return the stages that the notebook ``name`` runs."""
    return notebooks()[name].stages


def may_be_skipped(name: str) -> bool:
    """Return whether only some deployments run the notebook, independently of which component leads ``rest``."""
    return bool(notebooks()[name].models)

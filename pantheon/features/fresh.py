"""Handlers of requests about the online store: bring features online, push, look up, forget."""

from typing import Any

import msgspec

from pantheon.features.api import Request
from pantheon.features.contract import Known, Materialized, Pushed
from pantheon.features.service import Service


class Materialize(msgspec.Struct):
    """The body of ``POST /materialize``; without views: all."""

    views: list[str] | None = None
    all: bool = False


class Push(msgspec.Struct):
    """The body of ``POST /push``."""

    view: str
    rows: list[Any]


class Ask(msgspec.Struct):
    """The body of ``POST /online``; without a view: all views that have an entity."""

    entities: list[Any]
    view: str = ""


class Forget(msgspec.Struct):
    """The body of ``POST /forget``: a column of the dataset, or its name in Feast."""

    column: str
    value: Any


def post_materialize(service: Service, request: Request) -> dict[str, dict[str, Materialized]]:
    """``POST /materialize``: bring online what is not."""
    asked = request.json(Materialize)
    return {"views": service.keeper.materialise(asked.views, everything=asked.all)}


def post_push(service: Service, request: Request) -> Pushed:
    """``POST /push``: take fresh values."""
    asked = request.json(Push)
    return service.keeper.push(asked.view, asked.rows)


def post_online(service: Service, request: Request) -> dict[str, list[Known]]:
    """``POST /online``: what is online of entities."""
    asked = request.json(Ask)
    return {"rows": service.keeper.online(asked.entities, asked.view)}


def post_forget(service: Service, request: Request) -> dict[str, int]:
    """``POST /forget``: remove the rows with a value, offline and online."""
    asked = request.json(Forget)
    return service.keeper.forget(asked.column, asked.value)

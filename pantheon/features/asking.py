"""Handlers of questions about features: the catalogue, and what was known about entities at a time."""

from typing import Any

from pantheon import files
from pantheon.features.api import Answer, Request
from pantheon.features.contract import Known
from pantheon.features.look import At
from pantheon.features.service import Service


def get_catalogue(service: Service, request: Request) -> dict[str, Any]:
    """``GET /catalogue``: a summary of every view."""
    with service.parts.gate.reading():
        return service.look.catalogue()


def get_view(service: Service, request: Request) -> dict[str, Any]:
    """``GET /catalogue/{view}``: all about a view."""
    with service.parts.gate.reading():
        return service.look.view(request["view"])


def post_at(service: Service, request: Request) -> dict[str, list[Known]]:
    """``POST /at``: what was known about entities at a time."""
    asked = request.json(At)
    service.keeper.store_pushes()
    with service.parts.gate.reading():
        return service.look.at(asked)


def get_rows(service: Service, request: Request) -> Answer:
    """``GET /views/{view}/rows?lacking=VIEW&since=TIME``: stored rows that another view has not, a Parquet file."""
    target = files.part_of(service.here.incoming / "rows")
    service.keeper.store_pushes()
    try:
        with service.parts.gate.reading():
            found = service.look.rows(request["view"], request.option("lacking"), request.option("since"))
        found.write_parquet(target, compression="zstd")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Answer(file=target)

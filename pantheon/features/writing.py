"""Handlers of the workflow's requests: define views and feature services, store rows, read them as they were known."""

from pantheon import files
from pantheon.features import historical
from pantheon.features.api import Answer, Problem, Request
from pantheon.features.contract import Chosen, View, Written
from pantheon.features.definitions import includes
from pantheon.features.service import Service


def put_views(service: Service, request: Request) -> dict[str, list[str]]:
    """``PUT /views``: define views; answer with the names that they have, in the same order."""
    applied = service.definitions.apply(request.json(list[View]))
    service.keeper.definitions_changed()
    return {"applied": [view.name for view in applied]}


def write_rows(service: Service, request: Request) -> Written:
    """``POST /views/{view}/parts?run=ID``: store rows, a Parquet file; in earlier views of the dataset, too."""
    view, run = service.definitions.view(request["view"]), request.option("run")
    service.keeper.store_pushes()  # these came before
    written = service.parts.write(view, request.file, run)
    for earlier in service.definitions.views():
        if includes(view, earlier):
            service.parts.write(earlier, request.file, run, more=True)
    return written


def put_service(service: Service, request: Request) -> dict[str, str]:
    """``PUT /services/{service}``: define a feature service."""
    chosen = request.json(Chosen)
    if chosen.name != request["service"]:
        what = f"The path names the feature service {request['service']!r}, and the body {chosen.name!r}."
        raise Problem(400, what, "Give both the same name.")
    service.definitions.choose(chosen)
    return {"applied": chosen.name}


def read_historical(service: Service, request: Request) -> Answer:
    """``POST /services/{service}/historical``: read features as they were known at each row's time."""
    service.keeper.store_pushes()
    target = files.part_of(service.here.incoming / "historical")
    try:
        historical.historical(service.definitions, service.parts, request["service"], request.file, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Answer(file=target)

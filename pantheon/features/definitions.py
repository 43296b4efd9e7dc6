"""Views and feature services in Feast's registry: Feast's own objects, whose tags keep what Feast has no place for.

Nothing is removed or changed: models that read a view go on reading it. If a dataset gets or loses a field, or one has
another type, its view as it is now gets a new name: ``robots_2``. Its rows are stored in the earlier views, too, if
they have all fields of those, so that earlier models get fresh values. An added field cannot become part of an existing
view: its values would be corrections, which nobody knew at the time of the rows. What users define stays as it is.

Feast's ``apply`` is many transactions: of two at once, one may fail halfway, or its definition may be dropped without
an error. So whoever applies takes turns (``Here.turn("registry")``), as Feast's commands do.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from pantheon.features.api import Problem
from pantheon.features.contract import CREATED, EVENT, RESERVED, TYPES, Chosen, Code, Field, View, is_reserved, slug
from pantheon.files import Busy

TURN_SECONDS = 60.0
_TAG = "pantheon"  # marks objects that are ours; its value is the rest of the struct, as JSON
_LIST = "`bin/pantheon feast feature-services list` shows them."
_SAID = ("set", "kind", "entity", "time", "run")  # of a view, as tags of their own: people filter by them


class Definitions:
    """The registry of a deployment. Thread-safe.

    Args:
        store: Feast's FeatureStore.
        path: called with a view's name for the path of its parts, for Feast.
        turn: called for the lock of those who change the registry; raises ``files.Busy`` after a number of seconds.
        clash: called with a view for the reason why its rows cannot be among earlier ones of its name; else empty.
        prepare: called with a view before it is defined: its parts must have all its fields by then.
    """

    def __init__(
        self,
        store: Any,
        path: Callable[[str], Path],
        turn: Callable[[str, float], AbstractContextManager[Any]],
        clash: Callable[[View], str],
        prepare: Callable[[View], Any],
    ) -> None:
        self.store, self.path, self.clash, self.prepare = store, path, clash, prepare
        self._turn = turn

    # Reading ----------------------------------------------------------------------------------------------------------

    def views(self) -> list[View]:
        """Return all views of ours, by name."""
        found = (_view_of(each) for each in self.store.registry.list_feature_views(self.store.project))
        return sorted((view for view in found if view), key=lambda view: view.name)

    def view(self, name: str) -> View:
        """Return a view of ours.

        Raises:
            Problem: 404: there is none.
        """
        found = self._find(name)
        view = _view_of(found) if found is not None else None
        if view is None:
            what = "is a definition of a user, which the API does not know" if found else "does not exist"
            raise Problem(404, f"The view {name!r} {what}.", "`bin/pantheon features list` shows the views.")
        return view

    def services(self) -> list[Chosen]:
        """Return all feature services of ours, by name."""
        found = (_chosen_of(each) for each in self.store.registry.list_feature_services(self.store.project))
        return sorted((chosen for chosen in found if chosen), key=lambda chosen: chosen.name)

    def service(self, name: str) -> Chosen:
        """Return a feature service of ours.

        Raises:
            Problem: 404: there is none.
        """
        from feast.errors import FeatureServiceNotFoundException

        try:
            chosen = _chosen_of(self.store.registry.get_feature_service(name, self.store.project, allow_cache=False))
        except FeatureServiceNotFoundException:
            raise Problem(404, f"The feature service {name!r} does not exist.", _LIST) from None
        if chosen is None:
            raise Problem(404, f"The feature service {name!r} is a definition of a user: read it with `feast`.", _LIST)
        return chosen

    def _find(self, name: str) -> Any:
        """Return Feast's view of any kind; None if there is none."""
        from feast.errors import FeatureViewNotFoundException

        try:
            return self.store.registry.get_any_feature_view(name, self.store.project, allow_cache=False)
        except FeatureViewNotFoundException:
            return None

    # Writing ----------------------------------------------------------------------------------------------------------

    def apply(self, views: Sequence[View]) -> list[View]:
        """Define views, or bring them up to date; return them with their names in the registry.

        Raises:
            Problem: 400: a view is not valid; 503: others change the registry for too long.
        """
        for view in views:
            _check(view)
        with self.turn():
            placed: list[View] = []
            for view in views:
                placed.append(self._placed(view, {each.name for each in placed}))
            for view in placed:
                self.prepare(view)
            objects: list[Any] = []
            entities: dict[str, Any] = {}
            for view in placed:
                if view.key not in entities:
                    entities[view.key] = self._entity(view)
                objects.append(self._feature_view(view, entities[view.key]))
            self._apply([*entities.values(), *objects])
        return placed

    def choose(self, chosen: Chosen) -> None:
        """Define a feature service.

        Raises:
            Problem: 404: a view or a field does not exist; 409: a user defined a service of this name; 400: it has no
                features; 503: others change the registry for too long.
        """
        from feast import FeatureService
        from feast.errors import FeatureServiceNotFoundException

        by_view: dict[str, list[str]] = {}
        for reference in chosen.features:
            view, _, field = reference.partition(":")
            by_view.setdefault(view, []).append(field)
        if not by_view:
            raise Problem(400, f"The feature service {chosen.name!r} has no features.", "Choose some: VIEW:FIELD")
        with self.turn():
            projections = []
            for name, fields in by_view.items():
                found = self._find(name)
                if found is None:
                    raise Problem(404, f"The view {name!r} does not exist.", "Define it first: PUT /views")
                known = {feature.name for feature in found.features}
                if missing := [field for field in fields if field not in known]:
                    what = f"The view {name!r} has no field {missing[0]!r}; it has {', '.join(sorted(known))}."
                    raise Problem(404, what, "Define it first: PUT /views")
                projections.append(found[fields])
            try:
                project = self.store.project
                there = self.store.registry.get_feature_service(chosen.name, project, allow_cache=False)
            except FeatureServiceNotFoundException:
                there = None
            if there is not None and _chosen_of(there) is None:
                what = f"A user has defined a feature service {chosen.name!r}."
                raise Problem(409, what, f"Delete it, or choose another name: `feast delete {chosen.name}`")
            tags = {"set": chosen.set, "run": chosen.run, _TAG: json.dumps({"features": chosen.features})}
            service = FeatureService(
                name=chosen.name,
                features=projections,
                tags={name: value for name, value in tags.items() if value},
                description=chosen.description,
                owner=chosen.owner,
            )
            self._apply([service])

    def move(self) -> int:
        """Correct the paths of our views' parts, such as after the deployment moved; return how many were corrected."""
        with self.turn():
            project = self.store.project
            found = []
            for each in self.store.registry.list_feature_views(project):
                path = str(self.path(each.name))
                view = _view_of(each)
                if view is not None and each.batch_source.path != path:
                    found.append(self._feature_view(view, self._entity(view)))
            if found:
                self._apply(found)
        return len(found)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold off others who change the registry.

        Raises:
            Problem: 503: they take too long.
        """
        try:
            with self._turn("registry", TURN_SECONDS):
                yield
        except Busy:
            what = f"The registry has been changed by somebody else for {TURN_SECONDS:.0f} seconds."
            raise Problem(503, what, "Try again; `feast apply` may be running.") from None

    def _apply(self, objects: list[Any]) -> None:
        self.store.apply(objects)
        self.store.refresh_registry()  # Feast reads definitions from a copy that is up to ten seconds old

    def _placed(self, view: View, taken: set[str]) -> View:
        """Return a view with the first of the names ``robots``, ``robots_2`` … under which it can be."""
        for number in count(1):
            name = view.name if number == 1 else f"{view.name}_{number}"
            if name in taken:
                continue
            here = msgspec.structs.replace(view, name=name)
            found = self._find(name)
            if found is None:
                if not self.clash(here):
                    return here
                continue
            old = _view_of(found)
            if old is not None and fits(here, old) and not self.clash(here):
                return msgspec.structs.replace(here, run=old.run or here.run)
        raise AssertionError

    def _entity(self, view: View) -> Any:
        """Return the entity of a view: an existing one with its key, or a new one."""
        from feast import Entity, ValueType
        from feast.errors import EntityNotFoundException

        for name in (view.key, *(f"{view.key}_{number}" for number in range(2, 100))):
            try:
                found = self.store.registry.get_entity(name, self.store.project, allow_cache=False)
            except EntityNotFoundException:
                whose = view.entity or "a row of a dataset that has no entity column"
                return Entity(
                    name=name,
                    join_keys=[view.key],
                    value_type=ValueType.STRING,
                    description=f"{whose}; ids are texts",
                    tags={_TAG: "{}"},
                )
            if found.join_key == view.key and found.value_type == ValueType.STRING:
                return found
        raise Problem(409, f"Users have defined 99 entities {view.key!r} with other types.", "Delete one of them.")

    def _feature_view(self, view: View, entity: Any) -> Any:
        from feast import FeatureView, FileSource
        from feast import Field as FeastField
        from feast.types import String

        source = FileSource(
            name=view.name,
            path=str(self.path(view.name)),
            timestamp_field=EVENT,
            created_timestamp_column=CREATED,
            description=f"The parts of {view.name}",
            owner=view.owner,
        )
        fields = [
            FeastField(name=field.name, dtype=_dtype(field.type), description=field.description, tags=_tags(field))
            for field in view.fields
        ]
        rest = {"ttl_seconds": view.ttl_seconds, "freshness_seconds": view.freshness_seconds}
        rest |= {"code": msgspec.to_builtins(view.code)} if view.code else {}
        tags = {name: getattr(view, name) for name in _SAID if getattr(view, name)}
        return FeatureView(
            name=view.name,
            entities=[entity],
            schema=[FeastField(name=view.key, dtype=String), *fields],
            source=source,
            ttl=timedelta(seconds=view.ttl_seconds),
            online=True,
            description=view.description,
            owner=view.owner,
            tags=tags | {_TAG: json.dumps(rest)},
        )


def fits(view: View, old: View) -> bool:
    """Whether ``view`` can replace ``old``: of the same dataset and entity, with the same fields, of the same types."""
    return _same(view, old) and _fields(view) == _fields(old)


def includes(view: View, old: View) -> bool:
    """Whether the rows of ``view`` have all fields of ``old``, another view of the same dataset and entity."""
    return view.name != old.name and _same(view, old) and _fields(old) <= _fields(view)


def _same(view: View, old: View) -> bool:
    return all(getattr(view, name) == getattr(old, name) for name in ("set", "kind", "key", "entity", "time"))


def _fields(view: View) -> set[tuple[str, str, str]]:
    return {(field.name, field.type, field.column) for field in view.fields}


def _check(view: View) -> None:
    """Check that Feast and DuckDB accept a view.

    Raises:
        Problem: 400.
    """
    cure = "Correct the view and send it again."
    for name in (view.name, view.key, *(field.name for field in view.fields)):
        if slug(name) != name:
            raise Problem(400, f"{name!r} is not a valid name: use letters, digits and underscores.", cure)
    if not view.fields:
        raise Problem(400, f"The view {view.name!r} has no fields.", cure)
    if view.key.lower() in RESERVED:
        raise Problem(400, f"The key {view.key!r} of the view {view.name!r} has a name that Feast uses itself.", cure)
    for field in view.fields:
        if is_reserved(field.name):
            raise Problem(400, f"The field {field.name!r} has a name that Feast uses itself.", cure)
    names = [view.key, *(field.name for field in view.fields)]
    folded = [name.lower() for name in names]
    if twice := [name for name in names if folded.count(name.lower()) > 1]:
        raise Problem(400, f"The view {view.name!r} has two columns called {twice[0]!r}.", cure)
    for field in view.fields:
        if field.type not in TYPES:
            what = f"The field {field.name!r} is of the unknown type {field.type!r}; types: {', '.join(TYPES)}."
            raise Problem(400, what, cure)


def _dtype(kind: str) -> Any:
    from feast.types import Bool, Float64, Int64, String, UnixTimestamp

    return {"number": Float64, "integer": Int64, "text": String, "boolean": Bool, "date": UnixTimestamp}[kind]


def _tags(field: Field) -> dict[str, str]:
    """Return a field's tags: what Feast has no place for, for people and for ``_view_of``."""
    given = {
        "type": field.type,
        "column": field.column,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "max_missing": field.max_missing,
        "expression": field.expression,
        "of": json.dumps(field.of) if field.of else "",
        "owner": field.owner,
    }
    return {name: str(value) for name, value in given.items() if value is not None and value != ""}


def _field_of(found: Any) -> Field:
    tags = dict(found.tags)
    numbers = {name: float(tags[name]) for name in ("minimum", "maximum", "max_missing") if name in tags}
    return Field(
        name=found.name,
        column=tags.get("column", found.name),
        type=tags["type"],
        description=found.description,
        expression=tags.get("expression", ""),
        of=json.loads(tags.get("of", "[]")),
        owner=tags.get("owner", ""),
        **numbers,
    )


def _view_of(found: Any) -> View | None:
    """Return our struct of Feast's view; None if it is not one of ours."""
    tags = dict(found.tags)
    if _TAG not in tags or not found.features or not found.entity_columns:
        return None
    rest = json.loads(tags[_TAG])
    rest |= {"code": msgspec.convert(rest["code"], Code)} if rest.get("code") else {}
    return View(
        name=found.name,
        key=found.entity_columns[0].name,
        fields=[_field_of(feature) for feature in found.features],
        owner=found.owner,
        description=found.description,
        **{name: tags.get(name, "") for name in _SAID},
        **rest,
    )


def _chosen_of(found: Any) -> Chosen | None:
    """Return our struct of Feast's feature service; None if it is not one of ours."""
    tags = dict(found.tags)
    if _TAG not in tags:
        return None
    return Chosen(
        name=found.name,
        set=tags.get("set", ""),
        features=json.loads(tags[_TAG])["features"],
        run=tags.get("run", ""),
        owner=found.owner,
        description=found.description,
    )

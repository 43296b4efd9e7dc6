"""Join the rows of a request with what the feature store knows of their entities.

Inputs in the request win. An entity that is not known, values that are too old and a null where the model needs a value
are three different refusals; a null that the model accepts is a missing value, and the answer says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from pantheon import durations
from pantheon.features.contract import ModelFeatures, canonical
from serving.features import stored
from serving.features.origins import Origin, origin
from serving.features.stored import Unreadable
from serving.features.valkey import Away, NoTime, Valkey
from serving.model.predictor import Predictor, TooSlow
from serving.problems import Problem, shown

LONGEST = 200  # characters of an entity's id
AT_ONCE = 500  # entities that are read at a time
HURRY_SECONDS = 0.2  # with less time, there is none to connect
RETRY = (("retry-after", "1"),)


@dataclass(frozen=True)
class Joined:
    """The rows of a request with the features of their entities.

    Attributes:
        rows: JSON objects with the model's inputs.
        origins: of each row: the entity, and what came from where; None: the row names no entity.
        missing: of each row: the inputs whose stored value is null.
    """

    rows: list[Any]
    origins: list[Origin | None]
    missing: list[list[str]]


class Plan:
    """What to read for a version of a model: one hash for each entity, with the same fields.

    Attributes:
        fields: of the hash: one for each input, then one for each view's event time.
        times: by view, the position of its event time in ``fields``.
        needed: the inputs that may not be missing.
    """

    def __init__(self, predictor: Predictor, features: ModelFeatures) -> None:
        self.features, self.entity = features, features.entity
        self.places = {name: place for place, name in enumerate(features.inputs)}
        views = dict.fromkeys(source.view for source in features.inputs.values())
        self.times = {view: len(self.places) + place for place, view in enumerate(views)}
        sources = features.inputs.values()
        fields = [stored.field_of(source.view, source.field) for source in sources]
        self.fields = (*fields, *map(stored.time_field_of, views))
        self.needed = {field.name: field.expected for field in predictor.signature.fields if not field.nullable}
        self.is_input = features.entity in predictor.signature.names

    def id_of(self, row: dict[str, Any], index: int) -> str:
        """Return the entity that a row names; raises Problem 422 if that is not an id."""
        given, why = row[self.entity], f"an id has at most {LONGEST} characters"
        try:
            if not isinstance(given, str) or len(given) <= LONGEST:
                id = canonical(given)
                id.encode()
                if len(id) <= LONGEST:
                    return id
        except UnicodeEncodeError:
            why = "an id has no half characters"
        except ValueError as error:
            why = str(error)
        message = f'Row {index}, "{self.entity}": {why}.'
        expected = "the id of an entity: a text or a number"
        raise Problem(422, message, row=index, field=self.entity, expected=expected, got=shown(given))


class Online:
    """The online features.

    Attributes:
        count: told each event for the metrics.
    """

    def __init__(self, valkey: Valkey, count: Callable[[str], None] = lambda _: None) -> None:
        self.valkey, self.count = valkey, count
        self._plans: WeakKeyDictionary[Predictor, Plan] = WeakKeyDictionary()

    def join(self, predictor: Predictor, rows: Sequence[Any], deadline: float, named: bool) -> Joined:
        """Return the rows with the features of their entities.

        Args:
            rows: of the request, with the entity's column.
            deadline: on the clock of ``time.monotonic``.
            named: every row must name an entity.

        Raises:
            Problem: 422, the first row that cannot be completed; 503, Valkey does not answer.
            TooSlow: there was no time to ask it.
        """
        plan = self._plan(predictor)
        wanted: list[tuple[int, str, list[str]]] = []
        for index, row in enumerate(rows):
            if type(row) is not dict:
                expected, got = "an object of fields", shown(row)
                raise Problem(422, f"Row {index} is not an object.", row=index, expected=expected, got=got)
            if plan.entity in row:
                wanted.append((index, plan.id_of(row, index), [name for name in plan.places if name not in row]))
            elif named:
                message = f'Row {index}: "{plan.entity}" is required: it says which entity the row is about.'
                expected = f'{{"{plan.entity}": …}}, with or without inputs'
                raise Problem(422, message, row=index, field=plan.entity, expected=expected, got="nothing")
        read = self._read(predictor, plan, (id for _, id, names in wanted if names), deadline)
        joined = Joined(list(rows), [None] * len(rows), [[] for _ in rows])
        now = datetime.now(UTC)
        for index, id, names in wanted:
            row = rows[index]
            own = row if plan.is_input else {name: value for name, value in row.items() if name != plan.entity}
            found, views = self._values(plan, index, id, names, read.get(id, ()), now)
            joined.rows[index] = {**own, **found}
            joined.origins[index] = origin(plan.entity, id, views)
            joined.missing[index] += [name for name in names if found[name] is None]
        return joined

    def _plan(self, predictor: Predictor) -> Plan:
        plan = self._plans.get(predictor)
        if plan is None:
            assert predictor.features
            plan = self._plans[predictor] = Plan(predictor, predictor.features)
        return plan

    def _read(
        self, predictor: Predictor, plan: Plan, ids: Iterable[str], deadline: float
    ) -> dict[str, list[bytes | None]]:
        """Return the fields of each entity's hash."""
        different, connect = list(dict.fromkeys(ids)), deadline - monotonic() > HURRY_SECONDS
        found: dict[str, list[bytes | None]] = {}
        project, key = plan.features.project, plan.features.key
        try:
            for start in range(0, len(different), AT_ONCE):
                part = different[start : start + AT_ONCE]
                commands = [(b"HMGET", stored.key_of(project, key, id), *plan.fields) for id in part]
                found |= zip(part, self.valkey.ask(commands, deadline, connect), strict=True)
        except NoTime:
            raise TooSlow(predictor.version) from None
        except Away as away:
            self.count("features away")
            why = f"The feature store (Valkey) does not answer: {away}. Send the inputs themselves, or try again later."
            raise Problem(503, why, headers=RETRY) from None
        return found

    def _values(
        self, plan: Plan, index: int, id: str, names: list[str], reply: Sequence[bytes | None], now: datetime
    ) -> tuple[dict[str, Any], dict[str, tuple[datetime, list[str]]]]:
        """Return the values of a row's inputs, and by view its event time and the inputs that came from it."""
        values: dict[str, Any] = {}
        views: dict[str, tuple[datetime, list[str]]] = {}
        for name in names:
            source = plan.features.inputs[name]
            view = source.view
            try:
                if view not in views:
                    said = reply[plan.times[view]]
                    if said is None:
                        raise self._unknown(plan, index, id, view, names)
                    views[view] = stored.time_of(said), []
                age = (now - views[view][0]).total_seconds()
                if 0 < source.ttl_seconds <= age:
                    raise self._expired(plan, index, id, view, age, source.ttl_seconds, names)
                value = values[name] = stored.value_of(reply[plan.places[name]])
            except Unreadable as error:
                why = f'what the view "{view}" has stored of {plan.entity} {shown(id)} cannot be read: {error}'
                message = f'Row {index}, "{name}": {why}. Push it again, or send the input.'
                raise Problem(503, message, row=index, field=name, expected="a value as Feast stores it") from None
            if value is None and name in plan.needed:
                raise self._null(plan, index, id, view, name)
            views[view][1].append(name)
        return values, views

    def _unknown(self, plan: Plan, index: int, id: str, view: str, names: list[str]) -> Problem:
        self.count("entity unknown")
        message = (
            f'Row {index}, "{plan.entity}": the view "{view}" knows no {plan.entity} {shown(id)}. '
            f"Push its values (POST /push), or send {_listed(names)}."
        )
        expected = f"a {plan.entity} that the feature store knows"
        return Problem(422, message, row=index, field=plan.entity, expected=expected, got=shown(id))

    def _expired(self, plan: Plan, index: int, id: str, view: str, age: float, ttl: float, names: list[str]) -> Problem:
        self.count("entity expired")
        message = (
            f'Row {index}, "{plan.entity}": what the view "{view}" has of {plan.entity} {shown(id)} is expired: it is '
            f"{_time(age)} old, and counts for {_time(ttl)}. Push new values (POST /push), or send {_listed(names)}."
        )
        expected = f"values that are less than {_time(ttl)} old"
        return Problem(422, message, row=index, field=plan.entity, expected=expected, got=f"{_time(age)} old")

    def _null(self, plan: Plan, index: int, id: str, view: str, name: str) -> Problem:
        self.count("feature null")
        expected = plan.needed[name]
        message = (
            f'Row {index}, "{name}": the view "{view}" has a null for {plan.entity} {shown(id)}, and the model needs a '
            f"value: expected {expected}. Push it (POST /push), or send the input."
        )
        return Problem(422, message, row=index, field=name, expected=expected, got="null")


def refusal(predictor: Predictor) -> Problem | None:
    """Return why rows cannot name entities of this version; None if they can."""
    features = predictor.features
    if features and features.entity:
        return None
    who = f"version {predictor.version} of {predictor.model}"
    if features is None:
        why = f"{who[0].upper()}{who[1:]} was trained without a feature store, and knows no entities"
    else:
        why = f"The data of {who} have no entity that can be looked up"
    return Problem(422, f"{why}. Send its inputs in rows.", field="entities", expected="rows with the model's inputs")


def _listed(names: list[str]) -> str:
    texts = ", ".join(f'"{name}"' for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{texts}{more} in the row"


def _time(seconds: float) -> str:
    days = f"{seconds / 86400:,.1f}".removesuffix(".0")
    return f"{days} days" if seconds >= 2 * 86400 else durations.words(seconds)

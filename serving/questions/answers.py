"""Questions about an architecture. The answers are looked up in the running deployment, not in a table of tiers.

Every answer names its source. If no part of this deployment can answer a question, the answer says so and names the
first tier that can (``pantheon.questions.ALL``).
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pantheon.errors import PantheonError
from pantheon.questions import ALL, Question, can_answer
from pantheon.store import Alias
from pantheon.tiers import find
from serving.formatting import listed, moment, number
from serving.model.champion import Champion
from serving.model.predictor import Predictor
from serving.questions import recorded
from serving.questions.answer import ANSWERED, CANNOT, UNANSWERED, Answer
from serving.questions.entities import Entities
from serving.questions.people import Who
from serving.questions.reader import Reader
from serving.questions.requests import Requests
from serving.state import State


class Questions:
    """Answers questions with the running deployment: model, store, repository, log, features, people."""

    def __init__(self, state: State, store: Reader, champion: Champion, requests: Requests, entities: Entities) -> None:
        self.state, self.store, self.champion, self.requests = state, store, champion, requests
        self.entities, self.who = entities, Who(store, state)

    def ask(self, at: datetime | None = None, request: str = "", entity: str = "") -> dict[str, Any]:
        """Return all questions with their answers.

        Args:
            at: the time T; None: a time at which the previous champion served, or now if there was none; now for
                an entity's features.
            request: the id of "this request"; empty: the newest.
            entity: "this entity", such as ``robot-id=7`` or ``7``; empty: the one with the newest features.

        Returns:
            ``{"at", "tier", "model", "questions": [{"id", "question", "state", "answer", "source", "facts",
            "first"}]}``, with times as ISO 8601 in UTC; ``at`` is the T of "Which version served at time T?".
        """
        current, model = self.champion.current, self.state.served
        served_at, time = self.served_at(model, at)
        answers = {
            "dimensions": self.dimensions(current),
            "serving": self.serving(current),
            "served_at": served_at,
            "restore": self.restore(current),
            **self.requests.answers(request),
            "features_at": self.entities.answer(entity, at),
            "who": self.who.answer(current),
        }
        tier = self.state.tier
        return {
            "at": time.isoformat(),
            "tier": tier.name if tier else None,
            "model": model or None,
            "questions": [self.entry(question, answers.get(question.id)) for question in ALL],
        }

    def entry(self, question: Question, answer: Answer | None) -> dict[str, Any]:
        first = find(question.first)
        if answer is None or answer.state == CANNOT:
            tier = self.state.tier
            if tier and tier.number >= first.number:
                text = f"This deployment cannot answer this: it runs without {first.adds}."
            else:
                text = (
                    f"This tier cannot answer this. The first tier that can is {first.name}, which adds {first.adds}."
                )
            answer = Answer(CANNOT, text)
        shown = {"id": question.id, "question": question.text, **asdict(answer)}
        return shown | {"first": {"tier": first.name, "title": first.title, "adds": first.adds}}

    def place(self, *parts: str) -> str:
        """Return a location in the store for users."""
        return "/".join((self.state.place(self.store.where), *parts))

    def dimensions(self, current: Predictor | None) -> Answer:
        if current is None:
            return Answer(UNANSWERED, self.no_model())
        signature = current.signature
        inputs = [f"{f.name} ({f.expected}{', may be missing' if f.nullable else ''})" for f in signature.fields]
        count, output = len(inputs), signature.output
        if signature.task == "classification":
            classes = [signature.label(c) for c in signature.classes]
            out = f"{output['name']}, one of {len(classes)} classes ({listed(classes)}), with a probability for each"
            shape = ["rows", len(classes)]
        else:
            unit = f" in {output['unit']}" if output.get("unit") else ""
            out, shape = f"{output['name']}, a number{unit}", ["rows"]
        return Answer(
            ANSWERED,
            f"{count} input{'s' if count > 1 else ''} per row: {listed(inputs)}. Output: {out}.",
            f"the signature of the served model: {self.place(current.model, current.version, 'signature.json')}",
            {
                "version": current.version,
                "input_shape": ["rows", count],
                "output_shape": shape,
                "inputs": [{"name": f.name, "type": f.type, "nullable": f.nullable} for f in signature.fields],
                "output": output,
            },
        )

    def serving(self, current: Predictor | None) -> Answer:
        if current is None:
            return Answer(UNANSWERED, self.no_model())
        model, version = current.model, current.version
        try:
            alias = self.store.alias(model, "champion")
            made = self.store.describe(model, version).created
        except (PantheonError, OSError) as error:
            return Answer(
                UNANSWERED,
                f"Version {version} of {model} is serving, but the store cannot be read: {error}",
                "the button",
                {"model": model, "version": version},
            )
        data = current.lineage.get("data") or {}
        outside = "built elsewhere; according to its metadata " if current.lineage.get("origin") == "outside" else ""
        trained = (
            f"{outside}trained on {data['name']} ({number(data.get('rows'))} rows, SHA-256 {data['sha256']})"
            if data.get("name") and data.get("sha256")
            else "built elsewhere; its training data is not recorded"
        )
        facts: dict[str, Any] = {"model": model, "version": version, "made": made, "released": None, "by": None}
        text = f"Version {version} of {model} serves, "
        if alias and alias.version == version:
            facts |= {"released": alias.since, "by": alias.by}
            text += f"released {moment(alias.since)}{f' by {alias.by}' if alias.by else ''}; "
        elif alias:  # the newest champion is damaged or was just promoted
            text += f"although version {alias.version} has been the champion since {moment(alias.since)}; "
        facts["data"] = {key: data.get(key) for key in ("name", "sha256", "rows")}
        return Answer(
            ANSWERED,
            f"{text}created {moment(made)}, {trained}.",
            f"{self.place(model, 'aliases', 'champion.json')}, {version}/manifest.json and {version}/lineage.json",
            facts,
        )

    def served_at(self, model: str, at: datetime | None) -> tuple[Answer, datetime]:
        """Return the answer, and the time T."""
        now = datetime.now(UTC)
        try:
            history = self.store.history(model, "champion") if model else []
        except (PantheonError, OSError) as error:
            return Answer(UNANSWERED, f"The alias's history cannot be read: {error}"), at or now
        if history is None:
            return Answer(CANNOT, ""), at or now
        periods = _periods(history)
        if not periods:
            return Answer(UNANSWERED, self.no_model()), at or now
        source = f"the object versions of {self.place(model, 'aliases', 'champion.json')}"
        time = at or (_middle(periods[1], periods[0]) if len(periods) > 1 else now)
        if time > now:
            text = f"{moment(time.isoformat())} is in the future. Version {periods[0].version} serves now."
            return Answer(UNANSWERED, text, source), time
        place = next((i for i, period in enumerate(periods) if _since(period) <= time), None)
        if place is None:
            oldest = periods[-1]
            begin = moment(oldest.since)
            if oldest.previous:
                text = f"Unknown: the history starts at {begin} with version {oldest.version} of {model}."
                return Answer(UNANSWERED, text, source), time
            text = f"None: {model} was first released at {begin}, as version {oldest.version}."
            return Answer(ANSWERED, text, source, {"model": model, "version": None}), time
        period = periods[place]
        if (
            place and periods[place - 1].previous != period.version
        ):  # the alias was deleted, or changed outside of the history
            return Answer(UNANSWERED, f"Unknown: what followed version {period.version} is not recorded.", source), time
        until = periods[place - 1].since if place else None
        ended = f"until {moment(until)}" if until else "until now"
        text = f"At {moment(time.isoformat())} it was version {period.version} of {model}: "
        text += f"the champion from {moment(period.since)} {ended}."
        if not (at or until):
            earlier = f"before it version {period.previous}, with an unrecorded start" if period.previous else ""
            text = f"Version {period.version} of {model}, the champion since {moment(period.since)}; "
            text += f"{earlier or 'no earlier version served'}."
        return Answer(
            ANSWERED,
            text,
            source,
            {"model": model, "version": period.version, "from": period.since, "until": until, "by": period.by},
        ), time

    def restore(self, current: Predictor | None) -> Answer:
        """Return whether the run that made the model can be restored, from git and DVC's remote."""
        records = can_answer("restore", self.state.route)
        record = current.lineage.get("version_control") if current else None
        if not record:
            if not records:
                return Answer(CANNOT, "")
            if current is None:
                return Answer(UNANSWERED, self.no_model())
            why = "before this deployment had DVC, or elsewhere"
            text = f"No: version {current.version} was made {why}. Versions from the next run on can be restored."
            source = self.place(current.model, current.version, "lineage.json")
            return Answer(ANSWERED, text, source, {"version": current.version, "can": False})
        assert current is not None
        try:
            result = self.store.ask(lambda: recorded.check(self.state, record))
        except (PantheonError, OSError) as error:
            return Answer(UNANSWERED, f"It was recorded, but this cannot be checked now: {error}")
        facts = {"version": current.version, "can": not result.missing, **asdict(result)}
        if result.missing:
            return Answer(ANSWERED, f"No: it was recorded, but {' and '.join(result.missing)}.", result.source, facts)
        other = "" if current.model == self.state.deployment.dataset else f" --model {current.model}"
        command = f"bin/pantheon models checkout {current.version}{other}{self.state.named}"
        files = f"{result.objects} file{'s' if result.objects != 1 else ''}"
        return Answer(
            ANSWERED,
            f"Yes: commit {result.commit[:12]} has the code and parameters of version {current.version}, and DVC's "
            f"remote has its training data ({files}, MD5 {result.md5}). Restore them with {command}",
            result.source,
            facts,
        )

    def no_model(self) -> str:
        refusal = self.champion.refusal
        if refusal:
            return f"No model is serving: version {refusal.version or '?'} cannot be served: {refusal.why}"
        return f"No model is deployed yet. Train one with bin/pantheon run{self.state.named}"


def _since(alias: Alias) -> datetime:
    return datetime.fromisoformat(alias.since)


def _periods(history: Sequence[Alias]) -> list[Alias]:
    """Return the periods, newest first, one per change of version; a new note does not start a period."""
    taken = {(alias.version, alias.since): alias for alias in history}  # of several notes, the first is kept
    return list(taken.values())


def _middle(earlier: Alias, later: Alias) -> datetime:
    """Return a time at which ``earlier`` served, rounded to seconds if it served longer than that."""
    begin, end = _since(earlier), _since(later)
    middle = begin + (end - begin) / 2
    rounded = middle.replace(microsecond=0)
    return rounded if rounded >= begin else middle

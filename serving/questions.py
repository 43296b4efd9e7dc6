"""The questions that an architecture is asked, answered by looking: never from a table of what a tier can.

Each answer says where it came from. A question that no part of this deployment can answer is told as such, with the
first tier that can: that is a fact of the design, and stands in ``ALL`` alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pantheon.errors import PantheonError
from pantheon.store import Alias
from pantheon.tiers import find
from serving import recorded
from serving.champion import Champion
from serving.predictor import Predictor
from serving.reader import Reader
from serving.state import State
from serving.words import listed, moment, number


class Question(NamedTuple):
    """``first`` is the first tier that can answer it."""

    id: str
    text: str
    first: str


ALL = (
    Question("dimensions", "What are the input dimensions, and the output's?", "persephone"),
    Question(
        "serving",
        "Which version serves now, when was it released, on what data was it trained (name, hash)?",
        "persephone",
    ),
    Question("served_at", "Which version served at time T?", "nemesis"),
    Question("restore", "Can I have that training data, code and parameters back?", "odysseus"),
    Question("request", "Which version answered this request, with what input?", "epimetheus"),
    Question("feedback", "What did users say about it?", "epimetheus"),
    Question("features_at", "What were this entity's features at time T?", "hephaestus"),
    Question("who", "Who ran it, who may?", "kraken"),
)
ANSWERED, UNANSWERED, CANNOT = "answered", "unanswered", "cannot"


@dataclass(frozen=True)
class Said:
    """An answer.

    Attributes:
        state: ``answered``; ``unanswered`` where the tier can know, but there is nothing to say or it cannot be looked
            up right now; ``cannot`` where no part of the deployment knows.
        answer: in words; for ``unanswered`` why.
        source: where it was looked up.
        facts: the same for programs.
    """

    state: str
    answer: str
    source: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Questions:
    """Asks the parts of the deployment that is running: the model that answers, the store, the repository."""

    def __init__(self, state: State, store: Reader, champion: Champion) -> None:
        self.state, self.store, self.champion = state, store, champion

    def ask(self, at: datetime | None = None) -> dict[str, Any]:
        """All questions.

        Args:
            at: the time T; None: when the champion before the present one served, where there was one, else now.

        Returns:
            ``{"at", "tier", "model", "questions": [{"id", "question", "state", "answer", "source", "facts",
            "first"}]}``, with times as ISO 8601 in UTC; ``at`` is the T of "Which version served at time T?".
        """
        current, model = self.champion.current, self.state.served
        served_at, asked = self.served_at(model, at)
        said = {
            "dimensions": self.dimensions(current),
            "serving": self.serving(current),
            "served_at": served_at,
            "restore": self.restore(current),
        }
        tier = self.state.tier
        return {
            "at": asked.isoformat(),
            "tier": tier.name if tier else None,
            "model": model or None,
            "questions": [self.entry(question, said.get(question.id)) for question in ALL],
        }

    def entry(self, question: Question, said: Said | None) -> dict[str, Any]:
        first = find(question.first)
        if said is None or said.state == CANNOT:
            tier = self.state.tier
            if tier and tier.number >= first.number:
                words = f"This deployment cannot know: it was brought up without what answers this, {first.adds}."
            else:
                words = f"This tier cannot know. The first that can is {first.name}, which adds {first.adds}."
            said = Said(CANNOT, words)
        shown = {"id": question.id, "question": question.text, **asdict(said)}
        return shown | {"first": {"tier": first.name, "title": first.title, "adds": first.adds}}

    def place(self, *parts: str) -> str:
        """An address in the store, as people reach it."""
        return "/".join((self.state.place(self.store.where), *parts))

    def dimensions(self, current: Predictor | None) -> Said:
        if current is None:
            return Said(UNANSWERED, self.no_model())
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
        return Said(
            ANSWERED,
            f"{count} input{'s' if count > 1 else ''} a row: {listed(inputs)}. Output: {out}.",
            f"the signature that the button answers by: {self.place(current.model, current.version, 'signature.json')}",
            {
                "version": current.version,
                "input_shape": ["rows", count],
                "output_shape": shape,
                "inputs": [{"name": f.name, "type": f.type, "nullable": f.nullable} for f in signature.fields],
                "output": output,
            },
        )

    def serving(self, current: Predictor | None) -> Said:
        if current is None:
            return Said(UNANSWERED, self.no_model())
        model, version = current.model, current.version
        try:
            alias = self.store.alias(model, "champion")
            made = self.store.describe(model, version).created
        except (PantheonError, OSError) as error:
            return Said(
                UNANSWERED,
                f"Version {version} of {model} answers, but the store cannot be asked about it: {error}",
                "the button",
                {"model": model, "version": version},
            )
        data = current.lineage.get("data") or {}
        outside = "built elsewhere, by its own account " if current.lineage.get("origin") == "outside" else ""
        trained = (
            f"{outside}trained on {data['name']} ({number(data.get('rows'))} rows, SHA-256 {data['sha256']})"
            if data.get("name") and data.get("sha256")
            else "built elsewhere: on what data, nobody recorded"
        )
        facts: dict[str, Any] = {"model": model, "version": version, "made": made, "released": None, "by": None}
        words = f"Version {version} of {model} serves, "
        if alias and alias.version == version:
            facts |= {"released": alias.since, "by": alias.by}
            words += f"released {moment(alias.since)}{f' by {alias.by}' if alias.by else ''}; "
        elif alias:  # the newest champion is damaged or was promoted a moment ago
            words += f"although version {alias.version} is the champion since {moment(alias.since)}; "
        facts["data"] = {key: data.get(key) for key in ("name", "sha256", "rows")}
        return Said(
            ANSWERED,
            f"{words}made {moment(made)}, {trained}.",
            f"{self.place(model, 'aliases', 'champion.json')}, {version}/manifest.json and {version}/lineage.json",
            facts,
        )

    def served_at(self, model: str, at: datetime | None) -> tuple[Said, datetime]:
        """The answer, and the time that was asked about."""
        now = datetime.now(UTC)
        try:
            history = self.store.history(model, "champion") if model else []
        except (PantheonError, OSError) as error:
            return Said(UNANSWERED, f"The alias's history cannot be read: {error}"), at or now
        if history is None:
            return Said(CANNOT, ""), at or now
        periods = _periods(history)
        if not periods:
            return Said(UNANSWERED, self.no_model()), at or now
        source = f"the object versions of {self.place(model, 'aliases', 'champion.json')}"
        asked = at or (_middle(periods[1], periods[0]) if len(periods) > 1 else now)
        if asked > now:
            words = f"{moment(asked.isoformat())} is yet to come; version {periods[0].version} serves now."
            return Said(UNANSWERED, words, source), asked
        place = next((i for i, period in enumerate(periods) if _since(period) <= asked), None)
        if place is None:
            oldest = periods[-1]
            begin = moment(oldest.since)
            if oldest.previous:
                words = f"Not known: the history begins at {begin}, with version {oldest.version} of {model}."
                return Said(UNANSWERED, words, source), asked
            words = f"None: {model} was released for the first time at {begin}, as version {oldest.version}."
            return Said(ANSWERED, words, source, {"model": model, "version": None}), asked
        found = periods[place]
        if (
            place and periods[place - 1].previous != found.version
        ):  # the alias was taken away, or set beside the history
            return Said(
                UNANSWERED, f"Not known: what came after version {found.version} is not recorded.", source
            ), asked
        until = periods[place - 1].since if place else None
        ended = f"until {moment(until)}" if until else "and serves still"
        words = f"At {moment(asked.isoformat())} it was version {found.version} of {model}: "
        words += f"the champion from {moment(found.since)} {ended}."
        if not (at or until):
            earlier = f"before it version {found.previous}, from when on is not recorded" if found.previous else ""
            words = f"Version {found.version} of {model}, the champion since {moment(found.since)}; "
            words += f"{earlier or 'none served before'}."
        return Said(
            ANSWERED,
            words,
            source,
            {"model": model, "version": found.version, "from": found.since, "until": until, "by": found.by},
        ), asked

    def restore(self, current: Predictor | None) -> Said:
        """Can the run that made the model be brought back? Looked for in git and in DVC's remote."""
        records = self.state.route.get("data") == "dvc"
        record = current.lineage.get("version_control") if current else None
        if not record:
            if not records:
                return Said(CANNOT, "")
            if current is None:
                return Said(UNANSWERED, self.no_model())
            why = "before this deployment had DVC, or elsewhere"
            words = f"No: version {current.version} was made {why}. What the next run makes can be."
            source = self.place(current.model, current.version, "lineage.json")
            return Said(ANSWERED, words, source, {"version": current.version, "can": False})
        assert current is not None
        try:
            found = self.store.ask(lambda: recorded.look(self.state, record))
        except (PantheonError, OSError) as error:
            return Said(UNANSWERED, f"It was recorded, but cannot be looked up now: {error}")
        facts = {"version": current.version, "can": not found.missing, **asdict(found)}
        if found.missing:
            return Said(ANSWERED, f"No: it was recorded, but {' and '.join(found.missing)}.", found.source, facts)
        other = "" if current.model == self.state.deployment.get("dataset") else f" --model {current.model}"
        command = f"bin/pantheon models checkout {current.version}{other}"
        files = f"{found.objects} file{'s' if found.objects != 1 else ''}"
        return Said(
            ANSWERED,
            f"Yes: commit {found.commit[:12]} has the code and parameters of version {current.version}, and DVC's "
            f"remote has its training data ({files}, MD5 {found.md5}). {command} brings them back.",
            found.source,
            facts,
        )

    def no_model(self) -> str:
        refusal = self.champion.refusal
        if refusal:
            return f"No model answers: version {refusal.version or '?'} cannot be served: {refusal.why}"
        return "No model is deployed yet: bin/pantheon run makes one."


def _since(alias: Alias) -> datetime:
    return datetime.fromisoformat(alias.since)


def _periods(history: Sequence[Alias]) -> list[Alias]:
    """Newest first, one for each time that another version took over: a note alone begins none."""
    taken = {(alias.version, alias.since): alias for alias in history}  # of several notes the first one stays
    return list(taken.values())


def _middle(earlier: Alias, later: Alias) -> datetime:
    """A time at which ``earlier`` served, to the second where it served that long."""
    begin, end = _since(earlier), _since(later)
    middle = begin + (end - begin) / 2
    whole = middle.replace(microsecond=0)
    return whole if whole >= begin else middle

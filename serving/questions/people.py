"""Who ran it, and who may: the run that made the served model, and the people of the deployment with their roles."""

import os
from typing import Any, Final

from pantheon.errors import PantheonError
from pantheon.hub import people
from pantheon.hub.roles import ACTIONS, DEFAULT, allowed, role_in
from pantheon.questions import can_answer
from pantheon.state import RunRecord
from pantheon.workflow.run import Run
from serving.formatting import listed, moment
from serving.model.predictor import Predictor
from serving.questions.answer import ANSWERED, CANNOT, UNANSWERED, Answer
from serving.questions.reader import Reader
from serving.state import State

TOLD: Final = {"runs.start": "start runs", "models.promote": "promote models", "models.see": "see them"}
"""Action → how the answer calls it. Runs and models belong to the profile ``default``."""
SOURCE = "people/people.json, which JupyterHub reads"


class Who:
    """Answers with the run's record, the store, and the people whom JupyterHub knows."""

    def __init__(self, store: Reader, state: State) -> None:
        self.store, self.state = store, state

    def answer(self, current: Predictor | None) -> Answer:
        """Return the answer to "Who ran it, who may?"; "it" is the run that made the served model.

        Args:
            current: the served model.
        """
        if not can_answer("who", self.state.route):
            return Answer(CANNOT, "")
        try:
            may, said = self._may()
        except (PantheonError, OSError) as error:
            return Answer(UNANSWERED, f"Who may cannot be read: {error}")
        if current is None:
            return Answer(ANSWERED, f"No model serves yet, so nobody ran it. {said}", SOURCE, {"may": may})
        ran, facts, source = self._ran(current)
        return Answer(ANSWERED, f"{ran} {said}", f"{source}; {SOURCE}", facts | {"may": may})

    def _ran(self, current: Predictor) -> tuple[str, dict[str, Any], str]:
        """Return who made and who released the served version, as words and facts, and where that stands."""
        model, version = current.model, current.version
        run = str(current.lineage.get("run") or "")
        facts: dict[str, Any] = {"model": model, "version": version, "run": run or None, "by": None, "started": None}
        facts |= {"released": None, "released_by": None}
        what, sources = f"Version {version} of {model}", []
        if record := self._record(run):
            by = record.started_by
            facts |= {"by": by or None, "started": record.created}
            who = f"which {by} started" if by else "of which nobody recorded who started it,"
            text = f"{what} was made by run {run}, {who} at {moment(record.created)}"
            sources.append(self.state.place(str(self.state.folder / "runs" / run / "run.json")))
        else:
            text = f"{what} was made by run {run}, which is not there any more" if run else f"{what} was made elsewhere"
        try:
            alias = self.store.alias(model, "champion")
        except (PantheonError, OSError):
            alias = None
        if alias and alias.version == version:
            facts |= {"released": alias.since, "released_by": alias.by or None}
            text += f"; it was released at {moment(alias.since)}{f' by {alias.by}' if alias.by else ''}"
            sources.append("/".join((self.state.place(self.store.where), model, "aliases", "champion.json")))
        return f"{text}.", facts, " and ".join(sources) or "the signature of the served model"

    def _record(self, run: str) -> RunRecord | None:
        try:
            return Run.find(self.state.folder, run).record if run else None
        except (PantheonError, OSError):  # it was deleted
            return None

    def _may(self) -> tuple[dict[str, list[str]], str]:
        """Return who may do each action on runs and models, and the same as words.

        Raises:
            PantheonError: the people cannot be read.
        """
        found = people.read(self.state.folder)
        outside = bool(os.environ.get("OIDC_ISSUER"))  # a company's login: it has no user admin, but groups
        names = [*([] if outside else [people.ADMIN]), *(each.name for each in found.people)]
        roles = {name: role_in(found.roles(name), DEFAULT) for name in names}
        for profile in (each for each in found.profiles if each.name == DEFAULT and outside):
            roles |= {f"the group {group}": role for group, role in profile.groups.items()}
        may = {action: [who for who, role in roles.items() if role and allowed(role, action)] for action in ACTIONS}
        told = [f"{words}: {listed(may[action]) or 'nobody'}" for action, words in TOLD.items()]
        return may, f"Who may {'; '.join(told)}. Commands on this machine may do everything."

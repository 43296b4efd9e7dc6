"""Cached answers for the page, which polls every few seconds. Updated when the data that they depend on changes."""

import json
from time import monotonic
from typing import Any

from serving.formatting import time
from serving.model.champion import Champion
from serving.questions.answers import Questions
from serving.state import State

MAX_AGE_SECONDS = 30.0  # answers may also change without a visible change, such as a deleted DVC object
LOG_SECONDS = 5.0  # with a log, whose newest request is among the answers
MAX_ENTRIES = 8  # cached times T


class Recent:
    """Caches ``Questions.ask``. ``GET /questions`` does not use this cache."""

    def __init__(self, state: State, champion: Champion, questions: Questions) -> None:
        self.state, self.champion, self.questions = state, champion, questions
        self._cache: dict[tuple[str, str, str], tuple[str, float, dict[str, Any]]] = {}

    def __call__(self, at: str, request: str = "", entity: str = "") -> dict[str, Any]:
        """Return the answers, with ``typed`` (the time T as entered) and ``problem`` (why it is invalid, or empty).

        Args:
            request: the id of a request, as entered.
            entity: an entity, as entered.
        """
        try:
            moment, problem = (time(at) if at else None), ""
        except ValueError:
            moment, problem = None, f"“{at[:40]}” is not a valid time. Use, for example, 2026-11-22T10:00 (UTC)."
        key = ("" if problem else at, request, entity)
        oldest = LOG_SECONDS if self.questions.requests.handover.active else MAX_AGE_SECONDS
        state = self.depends_on()
        entry = self._cache.get(key)
        if entry is None or entry[0] != state or monotonic() - entry[1] > oldest:
            if len(self._cache) >= MAX_ENTRIES:
                self._cache = {}
            entry = self._cache[key] = state, monotonic(), self.questions.ask(moment, request, entity)
        return {**entry[2], "typed": at, "problem": problem, "request": request, "entity": entity}

    def depends_on(self) -> str:
        current, refusal = self.champion.current, self.champion.refusal
        parts = [current and [current.model, current.version, current.since], refusal and vars(refusal)]
        return json.dumps([*parts, repr(self.state.deployment), self.state.where])

"""The questions' answers for the page, which asks every few seconds: looked up anew when what they rest on changes."""

import json
from time import monotonic
from typing import Any

from serving.champion import Champion
from serving.questions import Questions
from serving.state import State
from serving.words import time

SECONDS = 30.0  # after which they are looked up again whatever has changed: an object of DVC's may have gone
MOST = 8  # times T that are remembered


class Recent:
    """What ``Questions.ask`` said a moment ago. ``GET /questions`` does not come this way: it always looks."""

    def __init__(self, state: State, champion: Champion, questions: Questions) -> None:
        self.state, self.champion, self.questions = state, champion, questions
        self._known: dict[str, tuple[str, float, dict[str, Any]]] = {}

    def __call__(self, at: str) -> dict[str, Any]:
        """The answers, with ``typed`` (the time T as it was given) and ``problem`` (why it is none, or empty)."""
        try:
            moment, problem = (time(at) if at else None), ""
        except ValueError:
            moment, problem = None, f"“{at[:40]}” is no time: such as 2026-11-22T10:00, in UTC."
        key = "" if problem else at
        rests = self.rests_on()
        known = self._known.get(key)
        if known is None or known[0] != rests or monotonic() - known[1] > SECONDS:
            if len(self._known) >= MOST:
                self._known = {}
            known = self._known[key] = rests, monotonic(), self.questions.ask(moment)
        return {**known[2], "typed": at, "problem": problem}

    def rests_on(self) -> str:
        current, refusal = self.champion.current, self.champion.refusal
        parts = [current and [current.model, current.version, current.since], refusal and vars(refusal)]
        return json.dumps([*parts, self.state.deployment, self.state.store])

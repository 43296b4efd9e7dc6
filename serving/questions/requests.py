"""Answers about requests, from the prediction log: who answered one, with what input, and what users said about it."""

import json
from typing import Any, Final

from pantheon.errors import PantheonError
from pantheon.questions import can_answer
from serving.formatting import moment
from serving.questions.answer import ANSWERED, CANNOT, UNANSWERED, Answer
from serving.questions.reader import Reader
from serving.remote.handover import Handover
from serving.remote.log import Log, LogError
from serving.state import State

LONG = 600  # characters of an input in an answer
REASONS: Final = {
    "champion": "it was the champion",
    "header": "of a header rule",
    "pin": "it was pinned",
    "weights": "of its share of the traffic",
    "sticky": "of its share of the traffic, by key",
    "bandit": "of its share of the bandit's traffic",
    "fallback": "the version that the policy names could not answer",
    "requested": "the request named it",
    "shadow": "it was a shadow",
}
"""The reason of a choice in the log → words after ``because``."""


class Requests:
    """Answers with the log, if the deployment has one.

    Args:
        store: for what the store knows about a version.
    """

    def __init__(self, log: Log, handover: Handover, store: Reader, state: State) -> None:
        self.log, self.handover, self.store, self.state = log, handover, store, state

    def answers(self, id: str = "") -> dict[str, Answer]:
        """Return the answers to ``request`` and ``feedback``.

        Args:
            id: of the request; empty: the newest, and the newest about which somebody said something.
        """
        if not can_answer("request", self.handover.route):
            return {"request": Answer(CANNOT, ""), "feedback": Answer(CANNOT, "")}
        return {"request": self.request(id), "feedback": self.feedback(id)}

    def request(self, id: str) -> Answer:
        try:
            found = self.log.prediction(id) if id else self.log.predictions(most="5")
        except LogError as error:
            return Answer(UNANSWERED, str(error))
        row = next((row for row in found["rows"] if not row["shadow"]), None)
        if row is None:
            return Answer(UNANSWERED, "No request has been answered yet.", self._source(found))
        facts: dict[str, Any] = {name: row[name] for name in ("id", "at", "model", "version", "arm", "reason", "key")}
        facts |= {name: row[name] for name in ("status", "error", "input", "prediction")}
        facts |= self._release(row["model"], row["version"])
        because = f" because {REASONS[row['reason']]}" if row["reason"] in REASONS else ""
        what = f"request {row['id']} at {moment(row['at'])}"
        if row["status"] >= 400:
            text = f"{what} was refused by version {row['version']} of {row['model']}: {row['error']}"
            return Answer(ANSWERED, text[0].upper() + text[1:], self._source(found), facts)
        released = f", created {moment(facts['created'])}" if facts["created"] else ""
        trained = f" and trained on {facts['data']}" if facts["data"] else ""
        text = f"Version {row['version']} of {row['model']}{released}{trained}, answered {what}{because}: "
        text += f"{short(row['input'])} → {short(row['prediction'])}."
        return Answer(ANSWERED, text, self._source(found), facts)

    def _source(self, found: dict[str, Any]) -> str:
        return f"the prediction log in {self.state.place(found['where'])}"

    def _release(self, model: str, version: str) -> dict[str, Any]:
        try:
            found = self.store.describe(model, version)
        except (
            PantheonError,
            OSError,
        ):  # it was removed, or the store does not answer: the log still knows the version
            return {"created": None, "data": None}
        return {"created": found.created, "data": data_of(found.metadata.get("data"))}

    def feedback(self, id: str) -> Answer:
        try:
            found = self.log.prediction(id) if id else self.log.feedback(most="1")
        except LogError as error:
            return Answer(UNANSWERED, str(error))
        source = self._source(found)
        row = next((row for row in found["rows"] if row["said_at"] and not row["shadow"]), None)
        if row is None:
            what = f"request {id}" if id else "a prediction"
            return Answer(UNANSWERED, f"Nobody has said anything about {what} yet.", source)
        facts = {name: row[name] for name in ("id", "row", "version", "correct", "true_value", "comment", "said_at")}
        facts["said_by"] = row["said_by"]
        text = f"About request {row['id']}, which version {row['version']} of {row['model']} answered with "
        text += f"{short(row['prediction'])}: {said(row)} ({row['said_by']}, {moment(row['said_at'])})."
        counted = found.get("versions") or []
        right, wrong = (sum(version[name] for version in counted) for name in ("right", "wrong"))
        if right + wrong:
            counts = f"Of the last 30 days' answers, users called {right:,} right and {wrong:,} wrong."
            text = f"{counts} The newest: {text[0].lower()}{text[1:]}"
            facts |= {"right": right, "wrong": wrong}
        return Answer(ANSWERED, text, source, facts)


def said(row: dict[str, Any]) -> str:
    """Return what a user said about a row, as words; empty: nothing."""
    if not row["said_at"] or row["shadow"]:  # nobody saw a shadow's answer
        return ""
    words = {True: "right", False: "wrong", None: ""}[row["correct"]]
    truth = f"truly {short(row['true_value'], 80)}" if row["true_value"] is not None else ""
    comment = f"“{row['comment']}”" if row["comment"] else ""
    return ", ".join(filter(None, (words, truth, comment))) or "nothing"


def data_of(data: Any) -> str:
    """Return the data that a version was trained on, as words."""
    if not isinstance(data, dict):
        return str(data or "")
    digest = f", SHA-256 {data['sha256']}" if data.get("sha256") else ""
    return f"{data.get('name') or 'unknown data'}{digest}"


def short(value: Any, most: int = LONG) -> str:
    """Return a JSON value as text, cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}…"

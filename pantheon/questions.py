"""The questions that an architecture should be able to answer, and which of them a deployment has the parts for.

``ask`` gets the answers from the running deployment (``serving.questions``); ``advise`` asks which tier could answer.
"""

from typing import NamedTuple

from pantheon.state import Route


class Question(NamedTuple):
    """A question.

    Attributes:
        first: the first tier that can answer it. This is part of the design; a test compares it with the definitions.
        part: the part of the workflow whose leader can answer it; empty: every deployment can.
        leader: the component that leads this part, as in the route.
    """

    id: str
    text: str
    first: str
    part: str = ""
    leader: str = ""


ALL = (
    Question("dimensions", "What are the input dimensions, and the output's?", "persephone"),
    Question(
        "serving",
        "Which version serves now, when was it released, on what data was it trained (name, hash)?",
        "persephone",
    ),
    Question("served_at", "Which version served at time T?", "nemesis", "models", "s3"),
    Question("restore", "Can I have that training data, code and parameters back?", "odysseus", "data", "dvc"),
    Question("request", "Which version answered this request, with what input?", "epimetheus", "answers", "endpoint"),
    Question("feedback", "What did users say about it?", "epimetheus", "answers", "endpoint"),
    Question("features_at", "What were this entity's features at time T?", "hephaestus", "features", "feast"),
    Question("who", "Who ran it, who may?", "kraken", "notebooks", "hub"),
)
BY_ID = {question.id: question for question in ALL}


def can_answer(id: str, route: Route) -> bool:
    """Return whether a deployment with this route has the component that answers the question ``id``."""
    question = BY_ID[id]
    return not question.part or getattr(route, question.part) == question.leader

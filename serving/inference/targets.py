"""What the path of a request means: a protocol, a model and a version."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Verb = Literal["predict", "v1", "explain", "infer", "describe", "ready", "v1 ready"]
_V1 = re.compile(r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?(?::(?P<verb>predict|explain))?")
_V2 = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>infer|ready))?")
PREDICTIONS = ("predict", "v1", "explain", "infer")


@dataclass(frozen=True)
class Target:
    """The meaning of a path.

    Attributes:
        model, version: as in the path; empty if it names none.
    """

    verb: Verb
    model: str = ""
    version: str = ""

    @property
    def method(self) -> str:
        return "POST" if self.verb in PREDICTIONS else "GET"


@lru_cache(1024)
def target(path: str) -> Target | None:
    """Return the meaning of a path; None if it is none of a model's."""
    if path == "/predict":
        return Target("predict")
    verb: Verb
    if found := _V1.fullmatch(path):
        named = found["verb"]
        verb = "v1 ready" if named is None else "explain" if named == "explain" else "v1"
    elif found := _V2.fullmatch(path):
        named = found["verb"]
        verb = "describe" if named is None else "infer" if named == "infer" else "ready"
    else:
        return None
    return Target(verb, found["model"], found["version"] or "")

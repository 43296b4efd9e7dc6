"""What a search was asked and told, in order, on disk: after the service was killed, the search is the same again."""

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.kubeflow.katib.algorithms import LARGEST_SEED, Settings
from pantheon.kubeflow.katib.search import Search
from pantheon.kubeflow.katib.space import Assignments, Parameter


@dataclass
class Journal:
    """A search whose questions and answers are appended to a file, one JSON object a line.

    Attributes:
        asked: the values of every trial that was proposed, by number.
        told: the result of every trial that has one; None for a failed one.
    """

    path: Path
    search: Search
    asked: list[Assignments] = field(default_factory=list)
    told: dict[int, float | None] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, name: str, settings: Settings, space: Sequence[Parameter], maximize: bool) -> "Journal":
        """Start a search, or restore the one of ``path``.

        Without ``random_state`` in the settings, a seed is drawn once and written down.

        Raises:
            PantheonError: the file is damaged, or the search proposes other values than it did.
        """
        events = _read(path)
        if events:
            seed = int(events[0]["seed"])
        else:
            seed = settings.get("random_state", secrets.randbelow(LARGEST_SEED + 1))
        journal = cls(path, make(name, settings, space, maximize, seed))
        if not events:
            journal._write({"seed": seed})
        for event in events[1:]:
            journal._repeat(event)
        return journal

    def _repeat(self, event: dict[str, Any]) -> None:
        if "ask" in event:
            try:
                self.search.repeat(event["values"])
            except ValueError:
                raise PantheonError(
                    f"the search of {self.path.parent.name} cannot be continued: a newer version of its library "
                    "proposes other values.",
                    "Delete the experiment and apply it again.",
                ) from None
            self.asked.append(event["values"])
        else:
            self.told[event["tell"]] = event["value"]
            self.search.tell(event["tell"], event["value"])

    def ask(self) -> tuple[int, Assignments] | None:
        """Return the number and the values of the next trial; None: only after a result, or never (``ended``)."""
        values = self.search.ask()
        if values is None:
            return None
        number = len(self.asked)
        self.asked.append(values)
        self._write({"ask": number, "values": values})
        return number, values

    def tell(self, number: int, value: float | None) -> None:
        """Take the result of a trial; one that is known already is ignored."""
        if number in self.told:
            return
        self.told[number] = value
        self._write({"tell": number, "value": value})
        self.search.tell(number, value)

    def _write(self, event: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the events; an incomplete last line, of a process that was killed while it wrote, is cut off."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    complete = content[: content.rfind(b"\n") + 1]
    if len(complete) < len(content):
        os.truncate(path, len(complete))
    try:
        return [json.loads(line) for line in complete.splitlines()]
    except ValueError:
        raise PantheonError(f"{path} is damaged.", "Delete the experiment and apply it again.") from None


def make(name: str, settings: Settings, space: Sequence[Parameter], maximize: bool, seed: int) -> Search:
    """Return a search that has proposed nothing yet.

    Args:
        name: a key of ``algorithms.ALGORITHMS``.
        seed: of every random choice.
    """
    if name == "hyperband":
        from pantheon.kubeflow.katib.hyperband import Hyperband

        return Hyperband(settings, space, maximize, seed)
    if name == "cmaes":
        from pantheon.kubeflow.katib.cmaes import Evolution

        return Evolution(settings, space, maximize, seed)
    if name == "bayesianoptimization":
        from pantheon.kubeflow.katib.gaussian import Gaussian

        return Gaussian(settings, space, maximize, seed)
    from pantheon.kubeflow.katib.sampled import Sampled

    return Sampled(name, settings, space, maximize, seed)

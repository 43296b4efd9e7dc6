"""A third engine: one folder. It writes down what it is asked to do and runs nothing."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pantheon.engines import Engine, OnEvent, Options, Planned, ServiceStatus

RANK = 100
ON_HOST = True


def available(environment: Mapping[str, str]) -> tuple[bool, str]:
    return ("PAPER" in environment), "paper and pencil" if "PAPER" in environment else "there is no paper"


def create(options: Options) -> Engine:
    return Paper(options)


class Paper(Engine):
    name = "paper"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.notes: list[str] = []

    def planned(self) -> list[Planned]:
        return [Planned("button", "serving", (8080,), "http://127.0.0.1:8080", inside="http://button:8080")]

    def prepare(self, environments: Collection[str]) -> None:
        self.notes.append(f"prepare {', '.join(environments)}")

    def up(self, on_event: OnEvent | None = None, environments: Collection[str] = ()) -> None:
        self.notes.append("up")

    def down(self, on_event: OnEvent | None = None) -> None:
        self.notes.append("down")

    def destroy(self) -> None:
        self.notes.append("destroy")

    def status(self) -> list[ServiceStatus]:
        return [ServiceStatus("button", "healthy")] if "up" in self.notes else []

    def logs(self, service: str | None = None, follow: bool = False, tail: int = 100) -> Iterator[str]:
        return iter(self.notes[-tail:])

    def run_task(self, service: str, command: Any, **more: Any) -> int:
        self.notes.append(f"{service}: {' '.join(command)}")
        return 0

"""How the command line speaks: progress and messages on standard error, results (or ``--json``) on standard output."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)  # a file has room

MARKS = {
    "healthy": "[green]✓[/]", "running": "[green]✓[/]", "completed": "[green]✓[/]", "done": "[green]✓[/]",
    "failed": "[red]✗[/]", "restarting": "[yellow]↻[/]", "interrupted": "[yellow]■[/]", "stopped": "[dim]■[/]",
}  # fmt: skip


def say(message: str) -> None:
    err.print(message)


def echo(command: str) -> None:
    """Show an outside command before it runs, so that people learn it."""
    err.print(f"$ {command}", markup=False, style="dim")


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def table(*columns: str) -> Table:
    """A table whose last column takes what room there is left; the others are not broken."""
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns[:-1]:
        made.add_column(column, no_wrap=True)
    made.add_column(columns[-1], overflow="fold")
    return made


def seconds(value: float) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``25 min``, ``2 h 10 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class Steps:
    """A line for each thing that ended, and on a terminal one live line with what is running now and for how long."""

    def __init__(self) -> None:
        self._status: Any = None
        self._running: dict[str, float] = {}

    def start(self, name: str) -> None:
        self._running.setdefault(name, time.monotonic())
        self._draw()

    def end(self, name: str, state: str = "done", note: str = "", took: float | None = None) -> None:
        began = self._running.pop(name, None)
        if took is None:
            took = time.monotonic() - began if began is not None else 0.0
        err.print(f"  {MARKS.get(state, '·')} {name:<34} [dim]{seconds(took):>8}[/]  {note}")
        self._draw()

    def drop(self, name: str) -> None:
        """What ended without being worth a line."""
        self._running.pop(name, None)
        self._draw()

    def _draw(self) -> None:
        if not err.is_terminal:
            return
        if self._status is None:
            self._status = err.status("")
            self._status.start()
        names = ", ".join(self._running)
        self._status.update(f"[dim]{names} …[/]" if names else "")

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def steps() -> Iterator[Steps]:
    shown = Steps()
    try:
        yield shown
    finally:
        shown.close()

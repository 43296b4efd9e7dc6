"""Print progress and messages on standard error, and results (or ``--json``) on standard output.

Text is Rich markup: ``[red]✗[/]``. Escape text from people or files (names, paths, columns, error messages) with
``plain``, or a name such as ``WBC [/ul]`` breaks the line; a test requires it for every value in printed markup.
Tables, steps and warnings escape it already.
Control characters in the text are never sent to the terminal: services and files may contain escape sequences.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pantheon import durations

# A file has no width limit. No emoji: a column may be called `a:key:b`.
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
out = Console(highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else 200)

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}

MARKS = {
    "healthy": "[green]✓[/]", "running": "[green]✓[/]", "completed": "[green]✓[/]", "done": "[green]✓[/]",
    "failed": "[red]✗[/]", "restarting": "[yellow]↻[/]", "interrupted": "[yellow]■[/]", "stopped": "[dim]■[/]",
    "damaged": "[red]✗[/]",
}  # fmt: skip


seconds = durations.words  # formats a duration


def printable(text: str) -> str:
    """Return text without colours, and with a replacement character for every other control character."""
    return COLOUR.sub("", text).translate(CONTROL)


class _Printable:
    """What is printed, with printable text. Rich's own control codes are separate segments, which stay."""

    def __init__(self, printed: ConsoleRenderable) -> None:
        self.printed = printed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.printed, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class _Clean(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(each) for each in renderables]


for _console in (err, out):
    _console.push_render_hook(_Clean())


def plain(text: object) -> str:
    """Escape text from people or files for use in markup."""
    return escape(str(text))


def relative(path: Path) -> str:
    """Return a path relative to the current folder if it is below that, else the path unchanged."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def say(message: str) -> None:
    """Print a message with markup."""
    err.print(message)


def warn(message: str) -> None:
    """Print a warning without markup."""
    err.print(f"[yellow]![/] {plain(message)}")


def echo(command: str) -> None:
    """Print an external command before it runs, so that users learn it."""
    err.print(f"$ {command}", markup=False, style="dim")


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


class PlainTable(Table):
    """A table that prints its cells literally; ``markup`` makes a cell with markup."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def markup(text: str) -> Text:
    """Return a table cell with markup."""
    return Text.from_markup(text, emoji=False)


def table(*columns: str) -> Table:
    """Return a table whose last column wraps in the remaining width; the other columns do not wrap."""
    made = PlainTable(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns[:-1]:
        made.add_column(column, no_wrap=True)
    made.add_column(columns[-1], overflow="fold")
    return made


class Steps:
    """Print one line per finished step; on a terminal, also a live line with the running steps and their durations."""

    def __init__(self) -> None:
        self._live: Any = None
        self._spinner: Any = None
        self._running: dict[str, float] = {}
        self._notes: dict[str, str] = {}

    def note(self, name: str, text: str) -> None:
        """Show how far a running step is, on a terminal."""
        self._notes[name] = text

    def start(self, name: str) -> None:
        self._running.setdefault(name, time.monotonic())
        self._draw()

    def end(self, name: str, state: str = "done", note: str = "", took: float | None = None) -> None:
        began = self._running.pop(name, None)
        if took is None:
            took = time.monotonic() - began if began is not None else 0.0
        err.print(f"  {MARKS.get(state, '·')} {plain(name):<34} [dim]{seconds(took):>8}[/]  {plain(note)}")
        self._draw()

    def drop(self, name: str) -> None:
        """End a step without printing a line."""
        self._running.pop(name, None)
        self._draw()

    def _draw(self) -> None:
        if self._live is None and err.is_terminal:
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("dots")
            self._live = Live(console=err, refresh_per_second=8, transient=True, get_renderable=self._line)
            self._live.start()

    def _line(self) -> RenderableType:
        now = time.monotonic()
        running = ", ".join(
            " ".join(filter(None, (name, seconds(now - began), self._notes.get(name))))
            for name, began in list(self._running.items())
        )
        self._spinner.update(text=Text(printable(f"{running} …"), style="dim"))
        return self._spinner if running else Text("")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


_open: list[Steps] = []


@contextmanager
def steps() -> Iterator[Steps]:
    """Return the steps to draw; nested calls, also in other threads, share them: a terminal has one live line."""
    if _open:
        yield _open[0]
        return
    shown = Steps()
    _open.append(shown)
    try:
        yield shown
    finally:
        _open.remove(shown)
        shown.close()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step while it runs, and print a line for it if it took over a second or failed."""
    with steps() as shown:
        shown.start(name)
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            shown.end(name, "failed")
            raise
        if time.monotonic() - begin > 1:
            shown.end(name)
        else:
            shown.drop(name)

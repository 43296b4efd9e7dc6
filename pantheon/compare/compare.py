"""Measure the cells that are not measured yet, one after another, and write the report after each."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pantheon import terminal
from pantheon.compare import cell as cells
from pantheon.compare import machine, report
from pantheon.compare.facts import Making
from pantheon.compare.plan import Cell
from pantheon.compare.report import Figures, Report
from pantheon.compare.work import Work
from pantheon.deployment.calling import Commands, destroy, isolation
from pantheon.deployment.deployment import home
from pantheon.deployment.offsets import offsets
from pantheon.errors import PantheonError


@dataclass
class Comparison:
    """The cells of a comparison, and where their figures are kept."""

    work: Work
    cells: list[Cell]

    def measured(self) -> dict[tuple[str, str], Figures]:
        """Return the finished cells."""
        kept = {(cell.tier.name, cell.engine): self.work.kept(cell) for cell in self.cells}
        return {key: figures for key, figures in kept.items() if figures is not None}

    def run(self) -> Report:
        """Measure what is missing; a cell that cannot be measured does not stop the others.

        Returns:
            The report of all cells.

        Raises:
            PantheonError: another comparison is running.
        """
        errors: dict[tuple[str, str], str] = {}
        missing = [cell for cell in self.cells if self.work.kept(cell) is None]
        if kept := len(self.cells) - len(missing):
            cells = "1 cell is" if kept == 1 else f"{kept} cells are"
            terminal.say(terminal.plain(f"{cells} measured already; measure again with --fresh"))
        if missing:
            self._warn()
            taken = offsets(home())
            with self.work.open(), isolation(self.work.home):
                self._measure(missing, taken, errors)
        return report.assemble(self.measured(), errors, self.cells[0].data.data)

    def _warn(self) -> None:
        if up := machine.others(home()):
            names = ", ".join(up)
            terminal.warn(f"These deployments are up and stay up; their work is in the figures: {names}.")
        if (busy := machine.busy(0.5)) > machine.BUSY_PERCENT:
            terminal.warn(f"This machine is busy ({busy:.0f} % of one core): the report marks the figures.")

    def _measure(self, missing: list[Cell], taken: set[int], errors: dict[tuple[str, str], str]) -> None:
        making = Making(self.work.folder)
        with terminal.steps() as steps:
            for number, cell in enumerate(missing, start=1):
                title = f"{cell.tier.name} · {cell.engine} ({number} of {len(missing)})"
                steps.start(title)
                begin = time.monotonic()
                commands = Commands(self.work.home, self.work.name(), self.work.log(cell))
                try:
                    figures = cells.measure(cell, commands, making, taken, _noted(steps, title))
                except PantheonError as error:
                    errors[cell.tier.name, cell.engine] = f"{error}"
                    steps.end(title, "failed", error.cause, time.monotonic() - begin)
                else:
                    self.work.keep(cell, figures)
                    steps.end(title, "done", summary(figures), time.monotonic() - begin)
                finally:
                    destroy(self.work.home, self.work.logs / "destroy.log")


def _noted(steps: terminal.Steps, title: str) -> Callable[[str], None]:
    return lambda text: steps.note(title, text)


def summary(figures: Figures) -> str:
    """Return one line about a cell."""
    count = figures["services"]
    return (
        f"{count} {'service' if count == 1 else 'services'}, {figures['memory_idle_mb']:,.0f} MB, starts in "
        f"{terminal.seconds(figures['start_s'])}, a run takes {terminal.seconds(figures['run_s'])}, "
        f"{figures['questions_answered']} questions answered"
    )


def work_folder() -> Path:
    """Return the folder of the comparison."""
    return home() / "compare"

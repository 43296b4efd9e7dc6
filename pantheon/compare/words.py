"""Sentences of the report that the page and the Markdown share."""

from typing import Any

from pantheon import durations
from pantheon.compare.machine import BUSY_PERCENT
from pantheon.compare.report import Figures, Report, cells_of

KILLS = ("service", "noticed by", "healthy again", "predictions lost", "slowest answer", "did not answer", "the run")


def machine_line(report: Report) -> str:
    """Return one line about the machine, the version and the data."""
    machine = report["machine"]
    version = f"Pantheon {report['pantheon']}" + (f" ({report['commit']})" if report["commit"] else "")
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mb'] / 1000:.0f} GB of memory, {machine['os']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}. {version}, dataset {report['data']}, "
        f"{report['made'][:10]}."
    )


def noise(report: Report) -> list[str]:
    """Return warnings about the figures, as sentences."""
    busy = [f"{tier} ({engine})" for tier, engine, cell in cells_of(report) if cell["busy_percent"] > BUSY_PERCENT]
    found = []
    if busy:
        found.append(
            f"This machine was busy with other work when it measured {', '.join(busy)}: the times are too long."
        )
    found += [f"{each['tier']} on {each['engine']} was not measured: {each['why']}" for each in report["errors"]]
    return found


def equality(report: Report) -> str:
    """Return a sentence about the model's metrics in all cells."""
    if len(list(cells_of(report))) < 2:
        return "There is only one cell, so there is nothing to compare the model with."
    if report["metrics_equal"]:
        return "The same data, parameters and seed gave the same model: its metrics are equal in every cell, to 1e-9."
    return "The metrics of the model are NOT equal in every cell."


def healing(kill: dict[str, Any]) -> str:
    """Return when a killed service was healthy again."""
    if kill["healthy_s"] is None:
        return str(kill.get("why", "never"))
    return durations.words(kill["healthy_s"])


def killed_before(cell: Figures) -> str:
    """Return which services were killed in another cell, as a sentence; empty for none."""
    before = cell.get("kills_before", "")
    if not before:
        return ""
    only = "Only the services that this tier adds were killed; " if cell["kills"] else "This tier adds no service; "
    return f"{only}the others were killed in {before} or an earlier tier."


def questions_of(cell: Figures) -> dict[str, str]:
    """Return the state of each question: ``answered``, ``unanswered`` or ``cannot``."""
    return {str(each["question"]): str(each["state"]) for each in cell["questions"]}


def how(report: Report) -> list[str]:
    """Return how the figures were measured, as paragraphs."""
    return [
        "Each cell is a deployment of its own that is made, measured and destroyed, one after another: "
        "`up --no-run` from nothing, one run, `up` again, a rest, predictions, questions, kills, `down`, `up`. "
        "Environments and images were there before; making an environment is timed apart, with its packages in the "
        "installer's cache. Times are those of the whole command, as a user waits for it.",
        "Memory is the proportional set size of all processes, or what the engine reports where these cannot be seen. "
        "Disk counts a file once that several environments share. A prediction is one row to the page's "
        "`POST /predict`, over kept connections from the same machine: the load takes its share of the cores.",
        "For the kills, each service's main process gets SIGKILL, in the first of the tiers that has it, or, with "
        "KILLS=all, in every one, while runs of the workflow are under way and predictions are asked for without a "
        "pause. `ask`, `status` and every page are asked right after the kill. "
        "A run that failed counts for the last service that was killed before.",
        equality(report),
    ]

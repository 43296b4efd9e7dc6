"""``pantheon compare``: measure the tiers beside each other, and write a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pantheon.cli.options import Data, Json, Target, Trials, interrupt_when_ended
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.compare.changes import Change
    from pantheon.compare.report import Report

Tiers = Annotated[str, typer.Option("--tiers", envvar="PANTHEON_COMPARE_TIERS", help="zeus,nemesis …; default: all")]
Engines = Annotated[
    str,
    typer.Option("--engines", envvar="PANTHEON_ENGINES", help="local,compose …; default: all usable here"),
]
Against = Annotated[
    str, typer.Option("--against", envvar="PANTHEON_AGAINST", help="an earlier report.json: show what changed")
]
Out = Annotated[str, typer.Option("--out", metavar="NAME", help="where to write NAME.html, NAME.md and NAME.json")]
Kills = Annotated[
    str,
    typer.Option(
        "--kills",
        envvar="PANTHEON_KILLS",
        metavar="added|all",
        help="kill only services that a tier adds, or all",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", envvar="PANTHEON_FRESH", help="measure again what is measured already")]


def compare(
    tiers: Tiers = "",
    engines: Engines = "",
    data: Data = "",
    target: Target = "",
    trials: Trials = None,
    against: Against = "",
    out: Out = "",
    kills: Kills = "added",
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Measure the tiers on each engine of this machine, in deployments of their own, and write a report.

    An interrupted comparison continues where it stopped. Deployments that are up are not touched.
    """
    from pantheon import terminal
    from pantheon.compare import changes, plan, report, writing
    from pantheon.compare.compare import Comparison, work_folder
    from pantheon.compare.work import Work

    before = report.read(Path(against).expanduser()) if against else None
    if target and not data:
        raise PantheonError(f"TARGET={target} needs DATA=.", "Add the file: DATA=your.csv")
    file = Path(data).expanduser()
    chosen = plan.Data(str(file.absolute()) if file.is_file() else data, target, trials)
    usable, left_out = plan.chosen_engines(engines)
    for name, why in left_out.items():
        terminal.say(f"[dim]without {terminal.plain(name)}: {terminal.plain(why)}[/]")
    comparison = Comparison(Work(work_folder()), plan.cells(plan.chosen_tiers(tiers), usable, chosen, kills))
    if fresh:
        comparison.work.forget(comparison.cells)
    interrupt_when_ended()
    made = comparison.run()
    stem = Path(out).expanduser().absolute() if out else comparison.work.folder / "report"
    paths = writing.write(made, before, stem)
    found = changes.between(before, made) if before else []
    if as_json:
        terminal.print_json(made | ({"changes": changes.as_json(found)} if before else {}))
    else:
        show(made)
        if before:
            show_changes(found, before)
    for path in reversed(paths):
        terminal.say(f"  {terminal.plain(terminal.relative(path))}")
    if made["errors"]:
        raise typer.Exit(1)


def show(report: "Report") -> None:
    """Print the main figures of every cell."""
    from pantheon import terminal
    from pantheon.compare.figures import BY_KEY
    from pantheon.compare.report import cells_of

    keys = {
        "start_s": "start",
        "from_down_s": "from down",
        "run_s": "a run",
        "memory_idle_mb": "memory",
        "disk_mb": "disk",
        "predict_p50_ms": "latency",
        "predict16_per_s": "requests/s",
        "services": "services",
        "questions_answered": "questions",
    }
    shown = terminal.table("tier", "engine", *keys.values())
    for tier, engine, cell in cells_of(report):
        shown.add_row(tier, engine, *(BY_KEY[key].shown(cell.get(key)) for key in keys))
    terminal.out.print(shown)
    for error in report["errors"]:
        terminal.warn(f"{error['tier']} on {error['engine']} was not measured: {error['why']}")
    if report["metrics_equal"] and len(list(cells_of(report))) > 1:
        terminal.say("The metrics of the model are equal everywhere, to 1e-9.")


def show_changes(found: "list[Change]", before: "Report") -> None:
    """Print what changed since another report."""
    from pantheon import terminal

    if not found:
        terminal.say(f"Nothing changed since the report of {terminal.plain(before['made'][:10])}.")
        return
    terminal.say(f"Changed since the report of {terminal.plain(before['made'][:10])}:")
    shown = terminal.table("tier", "engine", "what", "before", "after", "")
    for change in found:
        shown.add_row(change.tier, change.engine, change.what, change.before, change.after, change.percent)
    terminal.out.print(shown)

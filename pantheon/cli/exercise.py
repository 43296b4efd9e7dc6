"""``pantheon exercise``: list the exercises of a tier, show one, and check it on the running deployment."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json, Name, TierName, running
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.deployment.deployment import Deployment
    from pantheon.exercises.checking import Result
    from pantheon.exercises.data import Exercise
    from pantheon.exercises.record import Record, Work
    from pantheon.exercises.texts import Texts

Number = Annotated[int | None, typer.Option("--n", envvar="PANTHEON_N", min=1, help="show this exercise and check it")]
Hint = Annotated[
    int | None, typer.Option("--hint", envvar="PANTHEON_HINT", min=1, help="show the first hint, the second …")
]
Solution = Annotated[bool, typer.Option("--solution", envvar="PANTHEON_SOLUTION", help="show the solution's commands")]
KEPT = ("PANTHEON_HOME", "PANTHEON_CA", "PANTHEON_TIERS")  # of the user's settings; the others are for this command


def exercise(
    tier: TierName = "",
    n: Number = None,
    hint: Hint = None,
    solution: Solution = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """List the exercises of the tier; with --n, show one and check it: exit with 1 until it is passed."""
    from pantheon import terminal
    from pantheon.exercises import data, record
    from pantheon.exercises.texts import Texts

    deployment, chosen, engine = running(name, tier, "exercise")
    if n is None:
        if hint or solution:
            raise PantheonError("N= is missing.", "Name the exercise: `exercise --n 1 --hint 1`")
        known, done = data.of(chosen), record.read(deployment.state)
        if not known:
            raise PantheonError(f"{chosen.title} has no exercises.", "docs/exercises.md says how to write some.")
        terminal.print_json([summary(each, done.of(each)) for each in known]) if as_json else show_list(
            known, done, deployment
        )
        return
    chosen_exercise = data.find(chosen, n)
    texts = Texts(deployment, chosen.name, engine)
    if hint or solution:
        show_help(chosen_exercise, texts, deployment, hint, solution, as_json)
        return
    if not as_json:
        show_task(chosen_exercise, texts)
    results = checked(chosen_exercise, deployment)
    ok = all(result.ok for result in results)
    work = record.checked(deployment.state, chosen_exercise, ok)
    if as_json:
        found = {"task": texts.text(chosen_exercise.task), "ok": ok, "checks": [vars(each) for each in results]}
        terminal.print_json(summary(chosen_exercise, work) | found)
    else:
        show_results(chosen_exercise, results, work, deployment)
    if not ok:
        raise typer.Exit(1)


def checked(exercise: "Exercise", deployment: "Deployment") -> "list[Result]":
    """Return the results of the exercise's checks."""
    from pantheon import terminal
    from pantheon.deployment.calling import Commands
    from pantheon.deployment.deployment import home
    from pantheon.exercises.checking import check

    kept = {key: value for key, value in os.environ.items() if key in KEPT or not key.startswith("PANTHEON_")}
    with tempfile.TemporaryDirectory() as folder, terminal.steps() as steps:
        commands = Commands(home(), deployment.name, Path(folder) / "log", kept)
        title = f"checking exercise {exercise.number}"
        steps.start(title)
        try:
            return check(
                exercise, lambda words: commands(*words, accept=(0, 1))[1], lambda words: steps.note(title, words)
            )
        finally:
            steps.drop(title)


def summary(exercise: "Exercise", work: "Work") -> dict[str, Any]:
    """Return an exercise and the work on it, for ``--json``."""
    return {
        "tier": exercise.tier,
        "number": exercise.number,
        "title": exercise.title,
        "minutes": exercise.minutes,
        "passed": work.passed or None,
        "tries": work.tries,
        "hints": work.hints,
        "solution": work.solution,
    }


def show_list(known: "list[Exercise]", done: "Record", deployment: "Deployment") -> None:
    """Print one line per exercise."""
    from pantheon import terminal

    shown = terminal.table("", "#", "exercise", "minutes", "")
    for each in known:
        work = done.of(each)
        mark = terminal.markup(terminal.MARKS["done"] if work.passed else "·")
        when = f"passed {work.passed[:16].replace('T', ' ')} UTC" if work.passed else ""
        shown.add_row(mark, str(each.number), each.title, str(each.minutes), when)
    terminal.out.print(shown)
    first = next((each for each in known if not done.of(each).passed), None)
    if first:
        terminal.say(f"\n[dim]Begin: {terminal.plain(deployment.command('exercise', n=first.number))}[/]")
    else:
        terminal.say("\nYou have passed all exercises of this tier.")


def show_task(exercise: "Exercise", texts: "Texts") -> None:
    """Print the title and the task."""
    from rich.markdown import Markdown

    from pantheon import terminal

    terminal.out.print(f"[bold]{terminal.plain(f'{exercise.number}. {exercise.title}')}[/]\n")
    terminal.out.print(Markdown(texts.text(exercise.task)))
    terminal.out.print("")


def show_help(
    exercise: "Exercise", texts: "Texts", deployment: "Deployment", hint: int | None, solution: bool, as_json: bool
) -> None:
    """Print one hint, or the solution's commands.

    Raises:
        PantheonError: there is no such hint.
    """
    from pantheon import terminal
    from pantheon.exercises import record

    count = len(exercise.hints)
    if hint and hint > count:
        has = f"the only hint is HINT={count}" if count == 1 else f"there are {count} hints"
        last = f"`exercise --n {exercise.number} --solution`"
        raise PantheonError(f"exercise {exercise.number} has no hint {hint}: {has}.", f"See the solution: {last}")
    record.helped(deployment.state, exercise, hint or 0, solution)
    found: dict[str, Any] = {"tier": exercise.tier, "number": exercise.number}
    if hint:
        found["hint"] = texts.text(exercise.hints[hint - 1])
    if solution:
        found["solution"] = [texts.command(each) for each in exercise.solution]
    if as_json:
        terminal.print_json(found)
        return
    if hint:
        from rich.markdown import Markdown

        terminal.out.print(Markdown(found["hint"]))
        if hint < count:
            more = f"The next of {count} hints: {deployment.command('exercise', n=exercise.number, hint=hint + 1)}"
        else:
            solve = deployment.command("exercise", n=exercise.number, solution=True)
            more = f"This was the last hint. The solution: {solve}"
        terminal.say(f"\n[dim]{terminal.plain(more)}[/]")
    for command in found.get("solution", []):
        terminal.out.print(command, markup=False, soft_wrap=True)
    if solution:
        check = deployment.command("exercise", n=exercise.number)
        terminal.say(f"\n[dim]Run this in the clone's folder, then check: {terminal.plain(check)}[/]")


def show_results(exercise: "Exercise", results: "list[Result]", work: "Work", deployment: "Deployment") -> None:
    """Print what every check found, and what to do next."""
    from pantheon import terminal
    from pantheon.terminal import plain

    for result in results:
        mark = terminal.MARKS["done" if result.ok else "failed"]
        terminal.out.print(f"{mark} {plain(result.says)}")
        if not result.ok:
            asked = f"bin/pantheon {result.command}"
            terminal.out.print(f"    seen:     {plain(result.seen)}  [dim]({plain(asked)})[/]")
            terminal.out.print(f"    expected: {plain(result.expected)}")
    if all(result.ok for result in results):
        terminal.say(f"\n[green]✓[/] Exercise {plain(exercise.number)} is passed.")
        return
    if work.passed:
        terminal.say(
            f"\nNot passed now. It was passed {plain(work.passed[:16].replace('T', ' '))} UTC, which stays recorded."
        )
    else:
        terminal.say("\nNot passed yet.")
    options: dict[str, Any] = {"hint": 1} if exercise.hints else {"solution": True}
    terminal.say(f"[dim]Help: {plain(deployment.command('exercise', n=exercise.number, **options))}[/]")

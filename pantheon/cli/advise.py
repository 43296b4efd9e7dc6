"""``pantheon advise``: ask what people need, and name the smallest tier that meets it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.advice.data import Topic

Needs = Annotated[
    str,
    typer.Option(
        "--needs", envvar="PANTHEON_NEEDS", help="'schedule notebooks …', or none; default: ask in a dialogue"
    ),
]
Page = Annotated[
    str,
    typer.Option("--page", envvar="PANTHEON_PAGE", metavar="FILE", help="write a page that advises, as one HTML file"),
]
InsteadOf = Annotated[
    str, typer.Option("--instead-of", metavar="COMPONENT", help="show what else could be used instead of a component")
]


def advise(needs: Needs = "", page: Page = "", instead_of: InsteadOf = "", as_json: Json = False) -> None:
    """Name the smallest tier that meets your needs, the components to leave out, and why."""
    from pantheon import terminal
    from pantheon.advice import answer, data

    if page:
        write_page(page)
    elif instead_of:
        found = alternatives(instead_of)
        terminal.print_json(found) if as_json else show_alternatives(found)
    else:
        names = data.chosen(needs) if needs.strip() else asked()
        advice = answer.advise(names)
        terminal.print_json(advice) if as_json else show(advice)
        if not needs.strip():
            again = f"make advise NEEDS='{' '.join(names) or 'none'}'"
            terminal.say(f"\n[dim]The same again: {terminal.plain(again)}[/]")


def asked() -> list[str]:
    """Ask about each topic, and return the names of the needs.

    Raises:
        PantheonError: there is no terminal to ask in.
    """
    from pantheon import terminal
    from pantheon.advice import data

    if not sys.stdin.isatty():
        cure = (
            f"Name your needs: `make advise NEEDS='schedule notebooks'`. The needs: {', '.join(data.needs())}; or none."
        )
        raise PantheonError("there is no terminal to ask in.", cure)
    topics = data.topics()
    terminal.say("What do you need? Type the numbers of what applies, such as [bold]1 3[/], or only press Enter.")
    names: list[str] = []
    for number, topic in enumerate(topics, start=1):
        terminal.say(f"\n[bold]{number:,} of {len(topics)}. {terminal.plain(topic.ask)}[/]")
        terminal.say(f"  Enter  {terminal.plain(topic.none)}")
        for place, need in enumerate(topic.needs.values(), start=1):
            terminal.say(f"  {place:<5,}  {terminal.plain(need.title[:1].upper() + need.title[1:])}")
        while (
            found := picked(topic, typer.prompt(">", default="", show_default=False, prompt_suffix=" ", err=True))
        ) is None:
            terminal.warn(f"Type numbers from 1 to {len(topic.needs)} with spaces between them, or only press Enter.")
        names += found
    terminal.say("")
    return names


def picked(topic: "Topic", text: str) -> list[str] | None:
    """Return the needs that an answer to ``topic`` names, by number or name; None if it is not valid."""
    known = list(topic.needs)
    words = [word for word in re.split(r"[,\s]+", text.strip().lower()) if word]
    numbers = {str(place): name for place, name in enumerate(known, start=1)}
    found = {numbers.get(word, word) for word in words}
    return [name for name in known if name in found] if found <= set(known) else None


def show(advice: dict[str, Any]) -> None:
    """Print advice for people."""
    from pantheon import terminal
    from pantheon.terminal import plain

    out = terminal.out
    out.print(f"[bold]{plain(advice['tier'])}, {plain(advice['title'])}[/]", soft_wrap=True)
    out.print(plain(advice["because"]))
    out.print(f"\n  [bold]{plain(advice['command'])}[/]")
    if advice["reasons"]:
        out.print("\n[bold]Your needs[/]")
        for each in advice["reasons"]:
            out.print(
                f"  [green]✓[/] {plain(each['need'])}: {plain(each['why'])} [dim](from {plain(each['tier'])} on)[/]"
            )
    out.print("\n[bold]Components[/]")
    for why in dict.fromkeys(each["why"] for each in advice["parts"]):
        titles = ", ".join(each["title"] for each in advice["parts"] if each["why"] == why)
        out.print(f"  [green]+[/] {plain(titles)}: {plain(why)}")
    if advice["left_out"]:
        titles = ", ".join(each["title"] for each in advice["left_out"])
        out.print(f"  [dim]-[/] {plain(titles)}: left out, because none of your needs uses it")
    out.print(f"\n[bold]What it can answer[/] [dim](make tier-{plain(advice['tier'])} ask, when it runs)[/]")
    for each in advice["answers"]:
        out.print(f"  {plain(each['question'])}")
    show_cost(advice)
    show_later(advice)
    if advice["alternatives"]:
        out.print(
            "\n[bold]What else you could use[/] [dim](why, and why not: bin/pantheon advise --instead-of NAME)[/]"
        )
        for component, found in advice["alternatives"].items():
            out.print(f"  instead of {plain(component)}: {plain(', '.join(found))}")


def show_cost(advice: dict[str, Any]) -> None:
    """Print what it costs: what doctor asks for, and what was measured."""
    from pantheon import terminal
    from pantheon.terminal import plain

    out, found = terminal.out, advice["cost"]
    out.print("\n[bold]What it costs[/]")
    free = f"{found['memory_mb']:,} MB of memory and {found['disk_mb']:,} MB of disk"
    out.print(f"  Have {plain(free)} free: these components and a first run of 5,000 rows, with a reserve.")
    if measured := found["measured"]:
        out.print(f"  Measured with all components of {plain(advice['tier'])} on {plain(measured['machine'])}:")
        for engine, figures in measured["engines"].items():
            out.print(f"    {plain(engine)}: {plain(figures_of(figures))}")
    elif found["readme"]:
        out.print(f"  Measured with all components of {plain(advice['tier'])} {plain(found['readme'])}")


def figures_of(figures: dict[str, Any]) -> str:
    """Return measured figures as words; those that were not measured are left out."""
    from pantheon import terminal

    words: dict[str, Callable[[Any], str]] = {
        "memory_idle_mb": lambda value: f"{value:,.0f} MB of memory when idle",
        "start_s": lambda value: f"{terminal.seconds(value)} from nothing until healthy",
        "disk_mb": lambda value: f"{value:,.0f} MB of disk",
        "services": lambda value: f"{value} service{'s' if value != 1 else ''}",
    }
    return ", ".join(text(figures[key]) for key, text in words.items() if figures.get(key) is not None)


def show_later(advice: dict[str, Any]) -> None:
    """Print the signs that it is time for more."""
    from pantheon import terminal
    from pantheon.terminal import plain

    terminal.out.print("\n[bold]When it is time for more[/]")
    for each in advice["left_out"]:
        for sign in each["signs"].values():
            terminal.out.print(f"  When {plain(sign)}: bring back {plain(' and '.join(each['back']))}.")
    if (step := advice["next"]) and step["sign"]:
        terminal.out.print(f"  {plain(step['sign'])}")
        if step["not"]:
            terminal.out.print(f"  [dim]When not to: {plain(step['not'])}[/]")


def alternatives(component: str) -> dict[str, Any]:
    """Return what could be used instead of a component, by name.

    Raises:
        PantheonError: there is no such component, or nothing is known.
    """
    import difflib

    import msgspec

    from pantheon.advice import data

    known = list(dict.fromkeys(name for each in data.alternatives().values() for name in each.instead_of))
    found = data.instead_of([component]).get(component)
    if not found:
        near = difflib.get_close_matches(component, known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise PantheonError(f"no alternatives to {component!r} are known.", f"{hint}Known: {', '.join(known)}.")
    return {name: msgspec.to_builtins(each) for name, each in found.items()}


def show_alternatives(found: dict[str, Any]) -> None:
    """Print alternatives with their facts."""
    from pantheon import terminal
    from pantheon.terminal import plain

    for name, each in found.items():
        terminal.out.print(
            f"[bold]{plain(name)}[/]  [dim]{plain(each['licence'])}; runs on {plain(each['runs_on'])}[/]"
        )
        terminal.out.print(f"  [green]+[/] {plain(each['why'])}")
        terminal.out.print(f"  [red]-[/] {plain(each['why_not'])}")
        terminal.out.print(f"  [dim]{plain(each['fact'])} {plain(dated(each['as_of']))} {plain(each['source'])}[/]\n")


def write_page(given: str) -> None:
    """Write the page, and print where it is.

    Raises:
        PantheonError: the file cannot be written.
    """
    from pantheon import files, terminal
    from pantheon.advice import page

    file = Path(given).expanduser().absolute()
    if file.is_dir():
        file /= "advise.html"
    if not file.parent.is_dir():
        raise PantheonError(f"the folder {file.parent} does not exist.", f"Make it first: mkdir -p {file.parent}")
    files.write_text(file, page.html())
    terminal.say(f"[green]✓[/] {terminal.plain(terminal.relative(file))}: open it in a browser; it needs no network")


def dated(as_of: str) -> str:
    """Return when a fact was read at its source."""
    return f"As of {as_of}:" if as_of else "Common knowledge, not checked; see"

"""``pantheon workshop``: deployments for many people on this machine."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Confirm, Data, Json, Offset, Target, Trials, Without, confirm_first
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.workshop.caps import Caps
    from pantheon.workshop.place import Person, Place, Workshop

app = typer.Typer(
    name="workshop",
    help="Deployments for many people on this machine: up, status, reset, down.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
People = Annotated[int | None, typer.Option("--people", envvar="PANTHEON_PEOPLE", min=1, help="how many")]
TierOf = Annotated[str, typer.Option("--tier", envvar="PANTHEON_TIER", help="persephone, daedalus …")]
Memory = Annotated[
    str, typer.Option("--memory", envvar="PANTHEON_MEMORY", help="the memory of one person, such as 2g; none: no cap")
]
Cpus = Annotated[
    str, typer.Option("--cpus", envvar="PANTHEON_CPUS", help="the processors of one person, such as 1.5; none: no cap")
]
Who = Annotated[
    str, typer.Argument(metavar="PERSON", envvar="PANTHEON_PERSON", help="a name or a number: person-03, 3")
]


@app.command()
def up(
    people: People = None,
    tier: TierOf = "",
    memory: Memory = "",
    cpus: Cpus = "",
    port_offset: Offset = None,
    data: Data = "",
    target: Target = "",
    trials: Trials = None,
    without: Without = "",
    as_json: Json = False,
) -> None:
    """Start that many deployments, and write a sheet of addresses and passwords; again: continue, or add people."""
    from pantheon import terminal, tiers
    from pantheon.workshop import beginning, page, running, sheet
    from pantheon.workshop.caps import open_caps

    place = here()
    before = place.read()
    if not tier and not before:
        raise PantheonError("TIER= is missing.", "Name one: `make workshop PEOPLE=20 TIER=persephone`")
    chosen = tiers.find_built(tier or (before.tier if before else ""))
    given = {"--data": data, "--target": target, "--trials": trials or "", "--without": without}
    options = [word for option, value in given.items() if value for word in (option, str(value))]
    asked = beginning.Asked(
        people,
        beginning.size(memory) if memory else None,
        beginning.processors(cpus) if cpus else None,
        port_offset,
        options,
    )
    with place.alone():
        workshop = beginning.planned(place, chosen, asked)
        place.make()
        place.write(workshop)
        caps = open_caps(place.folder, workshop.memory, workshop.cpus)
        say_caps(caps, workshop)
        for person in workshop.people:
            from pantheon import files

            script = sheet.enter(place, person, caps.group(person.name))
            files.write_text(place.enter / person.name, script, mode=0o600)
        page.start(place, workshop)
        terminal.say(terminal.plain(f"The instructor's page: {page.address(workshop)}"))
        try:
            errors = everybody(
                workshop.people,
                lambda person, note: running.bring_up(place, workshop, person, caps, note),
            )
        except KeyboardInterrupt:
            terminal.say("To continue: make workshop   To end it: make workshop-down")
            raise
        sheet.write(place, workshop)
    if as_json:
        terminal.print_json(found(place, workshop) | {"errors": {name: f"{error}" for name, error in errors.items()}})
    else:
        say_where(place, workshop)
    if errors:
        raise typer.Exit(1)


@app.command()
def status(as_json: Json = False) -> None:
    """Show who is where, and which exercises are passed."""
    from pantheon import terminal

    place = here()
    workshop = place.existing()
    if as_json:
        terminal.print_json(found(place, workshop))
        return
    from pantheon.workshop import board

    shown = terminal.table("person", "state", "tier", "passed", "page", "last run")
    for seat in board.seats(place, workshop):
        total = len(board.exercises(seat.tier))
        run = f"{seat.run['dataset']}: {seat.run['decision'] or seat.run['state']}" if seat.run else ""
        state = " ".join(filter(None, (seat.state, seat.why)))
        shown.add_row(seat.name, state, seat.tier, f"{len(seat.passed)} of {total}", seat.page, run)
    terminal.out.print(shown)
    say_where(place, workshop)


@app.command()
def reset(person: Who = "", as_json: Json = False) -> None:
    """Set a person's deployment back to what it was at the beginning; passed exercises stay passed."""
    import time

    from pantheon import terminal
    from pantheon.workshop import running
    from pantheon.workshop.caps import open_caps

    place = here()
    workshop = place.existing()
    if not person:
        raise PantheonError("PERSON= is missing.", "Name one: `make workshop-reset PERSON=3`")
    who = workshop.find(person)
    begin = time.monotonic()
    with place.alone():
        caps = open_caps(place.folder, workshop.memory, workshop.cpus)
        title = f"resetting {who.name}"
        with terminal.steps() as steps:
            steps.start(title)
            try:
                running.reset(place, who, caps, lambda text: steps.note(title, text))
            finally:
                steps.drop(title)
    took = time.monotonic() - begin
    if as_json:
        terminal.print_json({"person": who.name, "seconds": round(took, 2)})
    else:
        terminal.say(f"[green]✓[/] {terminal.plain(who.name)} is as at the beginning, after {terminal.seconds(took)}.")


@app.command()
def down(confirm: Confirm = "", as_json: Json = False) -> None:
    """Stop and delete everybody's deployment, the sheet and the page."""
    from pantheon import terminal
    from pantheon.workshop import page, running, snapshot
    from pantheon.workshop.caps import open_caps

    place = here()
    workshop = place.existing()
    count = len(workshop.people)
    if confirm != "yes":
        cause = f"workshop down deletes the deployments of {count} people, with their models and notebooks."
        confirm_first(cause, "make workshop-down CONFIRM=yes", "workshop")
    with place.alone():
        page.stop(place)
        errors = everybody(workshop.people, lambda person, note: running.remove(place, person, note))
        if not errors:
            open_caps(place.folder, workshop.memory, workshop.cpus).remove(each.name for each in workshop.people)
            snapshot.remove(place.folder)
    for error in errors.values():
        terminal.warn(f"{error}")
    if as_json:
        terminal.print_json({"people": count, "deleted": not errors})
    elif not errors:
        terminal.say(
            terminal.plain(f"The workshop has ended: {count} deployments, the sheet and the page are deleted.")
        )
    if errors:
        raise typer.Exit(1)


def here() -> "Place":
    """Return the place of the workshop."""
    from pantheon.deployment.deployment import home
    from pantheon.workshop.place import Place

    return Place(home() / "workshop")


def everybody(people: "list[Person]", work: Any) -> dict[str, PantheonError]:
    """Do ``work(person, note)`` for everybody, and show it; return the errors by name."""
    from pantheon import terminal
    from pantheon.workshop import running

    with terminal.steps() as steps:

        def one(person: "Person") -> None:
            steps.start(person.name)
            try:
                work(person, lambda text: steps.note(person.name, text))
            except PantheonError as error:
                stopped = running.stopping.is_set()
                steps.end(person.name, "interrupted" if stopped else "failed", "" if stopped else f"{error}")
                raise
            steps.end(person.name)

        return running.all_of_them(people, one)


def say_caps(caps: "Caps", workshop: "Workshop") -> None:
    """Print what one person may use."""
    from pantheon import terminal

    words = [f"{workshop.memory / 1e9:.1f} GB of memory"] if workshop.memory else []
    words += [f"{workshop.cpus:g} processor{'s' if workshop.cpus != 1 else ''}"] if workshop.cpus else []
    if caps.why_not:
        terminal.warn(
            f"There are no caps on {' and '.join(words)} for each person: {caps.why_not}. Their processes get a lower "
            "priority, and are the first to be killed when memory runs out."
        )
    elif words:
        terminal.say(f"Each person may use {terminal.plain(' and '.join(words))}.")


def say_where(place: "Place", workshop: "Workshop") -> None:
    """Print where the sheet and the page are."""
    from pantheon import terminal
    from pantheon.terminal import plain, relative
    from pantheon.workshop import page

    terminal.say(f"sheet  {plain(relative(place.sheet))}, {plain(relative(place.table))}: addresses and passwords")
    terminal.say(f"page   {plain(page.address(workshop))}  (password: cat {plain(relative(place.password))})")
    if terminal.out.is_terminal and (link := page.link(place, workshop)):
        terminal.err.print(f"log in {link}\n       it works once, within 15 minutes", markup=False, soft_wrap=True)
    terminal.say("shell  " + plain(f". {relative(place.enter)}/person-01"))


def found(place: "Place", workshop: "Workshop") -> dict[str, Any]:
    """Return the workshop for ``--json``."""
    import msgspec

    from pantheon.workshop import board, page

    return {
        "tier": workshop.tier,
        "memory": workshop.memory or None,
        "cpus": workshop.cpus or None,
        "sheet": str(place.sheet),
        "table": str(place.table),
        "page": page.address(workshop),
        "people": [msgspec.to_builtins(seat) for seat in board.seats(place, workshop)],
    }

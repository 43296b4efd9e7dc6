"""``pantheon models``: what lies in the model store, and what is done with it by hand. The same at every tier."""

import shlex
import sys
from typing import Annotated, Any

import typer

from pantheon.cli.options import Json, Name, Note, opened, parts
from pantheon.errors import PantheonError

app = typer.Typer(
    name="models",
    help="The models of a deployment: list, show, publish, promote, rollback, verify, gc, checkout.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str, typer.Option("--model", envvar="PANTHEON_MODEL", help="the model; else the deployment's")]
Which = Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="the version's number")]
OrAlias = Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="the version's number, or an alias of it")]
AliasName = Annotated[str, typer.Option("--alias", envvar="PANTHEON_ALIAS", help="champion, challenger …")]
Confirm = Annotated[str, typer.Option("--confirm", envvar="PANTHEON_CONFIRM", help="yes: do not ask")]


@app.command("list")
def list_(model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Every version, newest first: when, how good, from which run and data, which alias names it, how large."""
    from pantheon.cli import model_views, show

    deployment = opened(name)
    found = model_views.listed(deployment.store(), model or deployment.settings.dataset)
    show.print_json(found) if as_json else model_views.show_list(found)


@app.command()
def show(version: OrAlias = "champion", model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """All that is known of a version: its manifest, lineage, git and DVC, and the address of each file."""
    from pantheon.cli import model_views
    from pantheon.cli import show as shown

    deployment = opened(name)
    store, chosen = deployment.store(), model or deployment.settings.dataset
    found = model_views.described(store, chosen, number(store, chosen, version))
    shown.print_json(found) if as_json else model_views.show_version(found)


@app.command()
def promote(
    version: Which,
    alias: AliasName = "champion",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Point an alias at a version; as champion, the button answers with it from the next prediction on."""
    from pantheon.cli import model_moves

    deployment, chosen, engine = parts(name, "")
    move = model_moves.Move(deployment, chosen, engine, model or deployment.settings.dataset)
    tell(move.promote(version, alias, note), as_json)


@app.command()
def rollback(
    to: Annotated[str, typer.Option("--to", envvar="PANTHEON_VERSION", help="else the champion before this one")] = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Make the champion before this one, or another version, the champion again; from the next prediction on."""
    from pantheon.cli import model_moves

    deployment, chosen, engine = parts(name, "")
    move = model_moves.Move(deployment, chosen, engine, model or deployment.settings.dataset)
    tell(move.rollback(to or None, note), as_json)


@app.command()
def verify(
    version: Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="a version's number, or all")] = "all",
    model: Model = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Read every file of a version, or of all, and compare its checksum; each damaged file is named."""
    from pantheon.cli import model_views
    from pantheon.cli import show as shown

    deployment = opened(name)
    found = model_views.verified(deployment.store(), model or deployment.settings.dataset, version)
    shown.print_json(found) if as_json else model_views.show_verified(found)
    if any(each["problems"] for each in found["versions"]):
        raise typer.Exit(1)


@app.command()
def gc(
    keep: Annotated[int, typer.Option("--keep", min=1, help="the newest versions to keep")] = 10,
    older_than: Annotated[str, typer.Option("--older-than", help="only what is older, such as 30d or 12h")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed, and remove nothing")] = False,
    model: Model = "",
    confirm: Confirm = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Remove old versions and what killed publishers left; never what an alias names, or a rollback would need."""
    from pantheon.cli import model_gc
    from pantheon.cli import show as shown

    deployment = opened(name)
    store, chosen = deployment.store(), model or deployment.settings.dataset
    plan = model_gc.plan(store, chosen, keep, older_than)
    if not as_json:
        model_gc.show_plan(plan)
    if not dry_run:
        if plan["remove"] and confirm != "yes":
            count = len(plan["remove"])
            given = {"keep": str(keep), "older-than": older_than, "model": model, "name": other(name), "confirm": "yes"}
            ask_first(
                f"gc deletes {count} version{'s' if count > 1 else ''} of {chosen!r} for good.",
                command("gc", **given),
                chosen,
            )
        plan |= model_gc.remove(deployment.state, store, plan)
        if not as_json:
            model_gc.show_removed(plan)
    if as_json:
        shown.print_json(plan)


@app.command()
def publish(
    path: Annotated[str, typer.Argument(help="model.onnx, a bundle's folder, or a scikit-learn model.joblib")],
    signature: Annotated[str, typer.Option("--signature", help="signature.json: what it takes and answers")] = "",
    model: Model = "",
    alias: AliasName = "challenger",
    note: Note = "",
    trust: Annotated[bool, typer.Option("--trust", help="for a joblib: you trust whoever made it")] = False,
    confirm: Confirm = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Publish a model built elsewhere; it is checked first, and waits as the challenger unless told otherwise."""
    from pantheon.cli import model_publish

    deployment, chosen, engine = parts(name, "")
    file = model_publish.chosen(path, signature)
    if file.is_pickle and not trust and confirm != "yes":
        model_publish.warn(file)
        given = {"signature": signature, "model": model, "alias": alias, "note": note, "name": other(name)}
        ask_first(f"{path} was not loaded.", f"{command('publish', path, **given)} --trust", file.path.name)
    tell(
        model_publish.publish(deployment, chosen, engine, file, model or deployment.settings.dataset, alias, note),
        as_json,
    )


@app.command()
def checkout(version: OrAlias = "champion", model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Bring back the data, parameters and code that made a version, in a folder of their own (from odysseus on)."""
    from pantheon.cli import show as shown
    from pantheon.cli import versioning

    deployment, _, engine = parts(name, "")
    chosen = model or deployment.settings.dataset
    found = versioning.checkout(deployment, engine, chosen, number(deployment.store(), chosen, version))
    if as_json:
        shown.print_json(found)


def number(store: Any, model: str, version: str) -> str:
    """A version's number as it was given, or the one that an alias names: ``champion``."""
    return version if version[:1].isdigit() else str(store.resolve(model, version).version)


def command(*words: str, **given: str) -> str:
    """The command that was typed, to be pasted: what was left at nothing is left out."""
    options = [word for option, value in given.items() if value for word in (f"--{option}", value)]
    return shlex.join(["bin/pantheon", "models", *words, *options])


def other(name: str) -> str:
    """A deployment's name where it has to be given."""
    return "" if name == "pantheon" else name


def ask_first(cause: str, command: str, word: str) -> None:
    """Have a person type ``word``, or refuse where nobody can be asked."""
    if not sys.stdin.isatty():
        raise PantheonError(cause, f"If you mean it: {command}")
    if typer.prompt(f"{cause} Type {word} to go on") != word:
        raise PantheonError("nothing was done.", status=1)


def tell(done: dict[str, Any], as_json: bool) -> None:
    from pantheon.cli import show as shown

    if as_json:
        shown.print_json(done)

"""``pantheon orders``: order models, and see how far orders are."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pantheon.cli.options import Json, Name, existing, running
from pantheon.errors import PantheonError

if TYPE_CHECKING:
    from pantheon.deployment.orders import Desk

app = typer.Typer(
    name="orders",
    help="Order models from a repository of code and one of data, from kraken on.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Id = Annotated[str, typer.Argument(metavar="ID", help="the order's id")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="the profile that it is for")]
Settings = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="parameters: trials, seed …")]
POLL_SECONDS = 1.0


@app.command("list")
def list_(
    namespace: Namespace = "default",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="of all profiles")] = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """List orders, newest first."""
    from pantheon import terminal

    found = _desk(name).ask("list", namespace="" if everywhere else namespace)
    if as_json:
        terminal.print_json(found)
        return
    if not found:
        where = "" if everywhere else f" in the profile {namespace}"
        terminal.out.print(f"There are no orders{terminal.plain(where)} yet. docs/orders.md shows how to place one.")
        return
    table = terminal.table("id", "model", "state", "by", "placed", "progress")
    for each in found:
        table.add_row(each["id"], each["name"], each["state"], each["by"], each["placed"][:19], _said(each))
    terminal.out.print(table)


@app.command()
def show(id: Id, name: Name = "pantheon", as_json: Json = False) -> None:
    """Show what was ordered, by whom, and how far it is."""
    from pantheon import terminal

    found = _desk(name).ask("show", id=id)
    if as_json:
        terminal.print_json(found)
        return
    _print(found)


@app.command()
def place(
    settings: Settings = None,
    file: Annotated[str, typer.Option("--filename", "-f", metavar="FILE", help="the order as JSON; or -")] = "",
    model: Annotated[str, typer.Option("--model", metavar="URL", help="repository of the model")] = "",
    model_commit: Annotated[str, typer.Option("--model-commit", help="its commit")] = "",
    data: Annotated[str, typer.Option("--data", metavar="URL", help="repository of the data, with DVC")] = "",
    data_commit: Annotated[str, typer.Option("--data-commit", help="its commit")] = "",
    path: Annotated[str, typer.Option("--path", help="the file in the repository of the data")] = "",
    target: Annotated[str, typer.Option("--target", help="the column to predict, for a new dataset")] = "",
    spec: Annotated[str, typer.Option("--spec", help="the dataset's spec in the repository of the data")] = "",
    called: Annotated[str, typer.Option("--called", help="the model's name; default: after the file")] = "",
    credentials: Annotated[
        str, typer.Option("--credentials", help="for both repositories; see `orders login --help`")
    ] = "",
    remote: Annotated[str, typer.Option("--remote", help="for DVC's remote; see `orders login --help`")] = "",
    note: Annotated[str, typer.Option("--note", help="a note to keep with the order")] = "",
    key: Annotated[str, typer.Option("--key", help="an order with the same key is placed once")] = "",
    wait: Annotated[bool, typer.Option(help="follow the order to its end")] = True,
    namespace: Namespace = "default",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Order a model, and follow the order to its end."""
    from pantheon import terminal
    from pantheon.dashboard import beginning
    from pantheon.deployment import pipelines

    given = {
        "name": called, "model.url": model, "model.commit": model_commit, "model.credentials": credentials,
        "data.url": data, "data.commit": data_commit, "data.path": path, "data.target": target, "data.spec": spec,
        "data.credentials": credentials, "data.remote": remote, "note": note,
    }  # fmt: skip
    params = pipelines.settings_of(settings or [])
    if file and (params or any(given.values())):
        raise PantheonError("-f FILE and options are both given.", "Give one of them.")
    unknown = sorted(set(params) - set(beginning.PARAMS))
    if unknown:
        raise PantheonError(f"unknown parameter {unknown[0]!r}.", f"The parameters are {', '.join(beginning.PARAMS)}.")
    form = given | {f"params.{each}": value for each, value in params.items()}
    order = _read(file) if file else beginning.order_of(form, namespace).decode()
    desk = _desk(name)
    found = desk.ask("place", key=key or beginning.new_key(), order=order)
    if wait:
        found = _follow(desk, found, as_json)
    if as_json:
        terminal.print_json(found)
    else:
        _print(found)
    if found["state"] == "failed":
        raise PantheonError(f"the order failed: {found['reason']}", found["cure"], 1)


@app.command()
def login(
    credentials: Annotated[str, typer.Argument(metavar="NAME", help="how orders call these credentials")],
    host: Annotated[str, typer.Argument(metavar="HOST", help="the server, such as git.example.com; s3: keys of S3")],
    user: Annotated[str, typer.Argument(metavar="USER", help="the user's name there; of S3, the access key ID")],
    name: Name = "pantheon",
) -> None:
    """Keep a password, token or secret key for orders: of a git server, or of DVC's remote.

    It is asked for, or read from standard input.
    """
    from pantheon import terminal
    from pantheon.deployment import orders

    deployment, _ = existing(name, "", "orders login")
    if sys.stdin.isatty():
        password = typer.prompt(f"Password or token of {user} at {host}", hide_input=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    path = orders.keep(deployment.state, credentials, host, user, password)
    option = "--remote" if host.lower() == orders.S3 else "--credentials"
    terminal.say(
        terminal.plain(f"{terminal.relative(path)} is written, with mode 0600. Orders name it: {option} {credentials}")
    )


def _desk(name: str) -> "Desk":
    from pantheon.deployment.orders import Desk

    deployment, _, engine = running(name, "", "orders")
    return Desk(deployment, engine)


def _follow(desk: "Desk", found: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """Wait for the end of an order, and print each progress."""
    from pantheon import terminal
    from pantheon.deployment.orders import FINISHED

    last = ""
    if not quiet:
        terminal.say(terminal.plain(f"order {found['id']}: Ctrl-C ends this command, not the order"))
    while found["state"] not in FINISHED:
        now = f"{found['state']}: {found['progress']}" if found["progress"] else found["state"]
        if now != last and not quiet:
            terminal.say(terminal.plain(now))
        last = now
        time.sleep(POLL_SECONDS)
        found = desk.ask("show", id=found["id"])
    return found


def _said(found: dict[str, Any]) -> str:
    """Return a line about how far an order is."""
    if found["state"] == "failed":
        return str(found["reason"])
    result = found["result"]
    if found["state"] == "done":
        version = f": {result['model']} {result['version']}" if result.get("version") else ""
        return f"{result.get('decision', '')}{version}"
    return str(found["progress"])


def _print(found: dict[str, Any]) -> None:
    from pantheon import terminal

    order, commits = found["order"], found["commits"]
    rows = {
        "order": found["id"],
        "model": found["name"],
        "profile": order["namespace"],
        "state": found["state"],
        "progress": _said(found),
        "to do": found["cure"],
        "code": f"{order['model']['url']} at {commits.get('model') or order['model']['commit']}",
        "data": f"{order['data']['url']} at {commits.get('data') or order['data']['commit']}, {order['data']['path']}",
        "parameters": ", ".join(
            f"{key}={value}" for key, value in (found["params"] or order["params"]).items() if value != ""
        ),
        "pipeline run": found["run"],
        "reason": found["result"].get("reason", ""),
        "placed": f"{found['placed'][:19]} by {found['by']}",
        "note": order["note"],
    }
    for title, value in rows.items():
        if value:
            terminal.out.print(terminal.plain(f"{title + ':':14}{value}"))


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read()
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PantheonError(f"{file} cannot be read: {error}.", "Name a file with an order as JSON.", 1) from None

"""``pantheon keys``: the API keys of the endpoint. A key's token is printed once, and stored nowhere."""

import re
from typing import Annotated

import typer

from pantheon.cli.options import Json, Name, TierOption, existing

app = typer.Typer(
    name="keys",
    help="Manage the API keys of the endpoint: add, list, revoke.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="the application's name, such as shop; the log has it")]
Models = Annotated[
    str, typer.Option("--models", help="the models that it may ask, with commas between them; default: all")
]
Rate = Annotated[int, typer.Option("--per-minute", min=0, help="most requests in any 60 seconds; 0: no limit")]
Metrics = Annotated[bool, typer.Option("--metrics", help="a key that only reads /metrics")]
Push = Annotated[bool, typer.Option("--push", help="a key that only writes features, at /push (from hephaestus on)")]


@app.command()
def add(
    key: KeyName,
    models: Models = "",
    per_minute: Rate = 0,
    metrics: Metrics = False,
    push: Push = False,
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Add a key and print its token, once; it works within two seconds."""
    from pantheon import keys, terminal
    from pantheon.errors import PantheonError

    if metrics and push:
        raise PantheonError("a key is for one of --metrics and --push.", "Add two keys.")
    deployment, _ = existing(name, tier, "keys add")
    scope = [each for each in re.split(r"[,\s]+", models) if each]
    kind: keys.Kind = "metrics" if metrics else "push" if push else "predict"
    added, token = keys.add(deployment.state, key, models=scope, per_minute=per_minute, kind=kind)
    deployment.publish()
    if as_json:
        terminal.print_json({"name": added.name, "token": token})
        return
    terminal.say(
        f"The token of {terminal.plain(added.name)}, which is not shown again; send Authorization: Bearer TOKEN"
    )
    print(token)


@app.command("list")
def list_(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """List the keys: name, kind, models, limit and date; never tokens."""
    from pantheon import keys, terminal

    deployment, _ = existing(name, tier, "keys list")
    found = keys.read(deployment.state)
    if as_json:
        listed = [
            {
                "name": key.name,
                "kind": key.kind,
                "models": list(key.models),
                "per_minute": key.per_minute,
                "created": key.created,
            }
            for key in found
        ]
        terminal.print_json({"keys": listed})
        return
    shown = terminal.table("name", "kind", "models", "a minute", "created")
    for key in found:
        limit = f"{key.per_minute:,}" if key.per_minute else "any"
        shown.add_row(key.name, key.kind, ", ".join(key.models) or "all", limit, key.created)
    terminal.out.print(shown)


@app.command()
def revoke(key: KeyName, tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Revoke a key; the endpoint refuses it within two seconds."""
    from pantheon import keys, terminal

    deployment, _ = existing(name, tier, "keys revoke")
    revoked = keys.revoke(deployment.state, key)
    deployment.publish()
    terminal.print_json({"revoked": revoked.name}) if as_json else terminal.say(
        f"{terminal.plain(revoked.name)} is revoked."
    )

"""``pantheon users``: who may use a deployment that has JupyterHub. Passwords are generated, and printed once."""

from typing import Annotated

import typer

from pantheon.cli.options import Json, Name, TierOption, existing, running

app = typer.Typer(
    name="users",
    help="Manage users, from kraken on: add, list, remove, password.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

UserName = Annotated[str, typer.Argument(metavar="NAME", help="lower-case letters, digits, and . _ @ -")]
Roles = Annotated[
    list[str] | None,
    typer.Option("--profile", metavar="PROFILE=ROLE", help="view, edit or admin in a profile; may be repeated"),
]
NoPassword = Annotated[
    bool, typer.Option("--no-password", help="the company's provider (OIDC_ISSUER) logs this user in")
]


@app.command()
def add(
    user: UserName,
    profile: Roles = None,
    no_password: NoPassword = False,
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Add a user and print the password, once. Without --profile: edit in the profile default."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "users add")
    work.needed(deployment, chosen)
    roles = dict(parsed(each) for each in profile) if profile else {"default": "edit"}
    word = people.add(deployment.state, user, roles, password=not no_password)
    if as_json:
        terminal.print_json({"name": user, "password": word})
    elif word:
        terminal.say(f"The password of {terminal.plain(user)}, which is not shown again:")
        print(word)
    else:
        terminal.say(f"{terminal.plain(user)} is a user and logs in at the company's provider.")


@app.command("list")
def list_(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """List the users with their roles; never passwords."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "users list")
    work.needed(deployment, chosen)
    found = people.read(deployment.state)
    everybody = [found.find(people.ADMIN), *found.people]
    if as_json:
        listed = [
            {"name": each.name, "profiles": found.roles(each.name), "created": each.created}
            for each in everybody
            if each
        ]
        terminal.print_json({"users": listed})
        return
    passwords = people.read_passwords(deployment.state)
    shown = terminal.table("name", "profiles", "password", "created")
    for each in filter(None, everybody):
        roles = ", ".join(f"{profile}={role}" for profile, role in found.roles(each.name).items())
        kind = (
            "secrets/hub_password"
            if each.name == people.ADMIN
            else "yes"
            if each.name in passwords
            else "the provider's"
        )
        shown.add_row(each.name, roles or "none", kind, each.created)
    terminal.out.print(shown)


@app.command()
def remove(user: UserName, tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Remove a user, whose servers stop; notebooks and runs stay."""
    from pantheon import terminal
    from pantheon.deployment import people as work

    deployment, chosen, engine = running(name, tier, "users remove")
    work.needed(deployment, chosen)
    left = work.remove(deployment, engine, user)
    if as_json:
        terminal.print_json({"removed": user, "left": left})
        return
    terminal.say(f"{terminal.plain(user)} is removed.")
    if left:
        terminal.warn(left)


@app.command()
def password(user: UserName, tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Give a user a new password and print it, once."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "users password")
    work.needed(deployment, chosen)
    word = people.change_password(deployment.state, user)
    if as_json:
        terminal.print_json({"name": user, "password": word})
        return
    terminal.say(f"The new password of {terminal.plain(user)}, which is not shown again:")
    print(word)


def parsed(text: str) -> tuple[str, str]:
    """Split ``PROFILE=ROLE``."""
    from pantheon.errors import PantheonError

    profile, equals, role = text.partition("=")
    if not equals or not profile:
        raise PantheonError(f"--profile {text} is not valid.", "Write PROFILE=ROLE, such as --profile team=edit.")
    return profile, role

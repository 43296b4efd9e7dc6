"""``pantheon profiles``: name spaces of Kubeflow's objects, and who has which role in them."""

from typing import Annotated

import typer

from pantheon.cli.options import Json, Name, TierOption, existing

app = typer.Typer(
    name="profiles",
    help="Manage profiles and roles, from kraken on: add, list, remove, grant, revoke.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ProfileName = Annotated[str, typer.Argument(metavar="PROFILE", help="lower-case letters, digits and dashes")]
Who = Annotated[str, typer.Argument(metavar="USER", help="a user; with --group, a group of the company's provider")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="view, edit or admin")]
Group = Annotated[bool, typer.Option("--group", help="USER is a group of the company's provider (OIDC_ISSUER)")]


@app.command()
def add(profile: ProfileName, tier: TierOption = "", name: Name = "pantheon") -> None:
    """Add a profile."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "profiles add")
    work.needed(deployment, chosen)
    people.add_profile(deployment.state, profile)
    terminal.say(f"The profile {terminal.plain(profile)} is added. Give roles: `bin/pantheon profiles grant --help`")


@app.command("list")
def list_(tier: TierOption = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """List the profiles, and who has which role in them."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "profiles list")
    work.needed(deployment, chosen)
    found = people.read(deployment.state)
    roles = {
        profile.name: {
            person.name: found.roles(person.name)[profile.name]
            for person in found.people
            if profile.name in found.roles(person.name)
        }
        for profile in found.profiles
    }
    if as_json:
        listed = [{"name": each.name, "users": roles[each.name], "groups": each.groups} for each in found.profiles]
        terminal.print_json({"profiles": listed})
        return
    shown = terminal.table("profile", "users", "groups of the provider")
    for each in found.profiles:
        pairs = [", ".join(f"{who}={role}" for who, role in had.items()) for had in (roles[each.name], each.groups)]
        shown.add_row(each.name, *(pair or "none" for pair in pairs))
    terminal.out.print(shown)


@app.command()
def remove(profile: ProfileName, tier: TierOption = "", name: Name = "pantheon") -> None:
    """Remove a profile and the roles in it; its objects stay."""
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, "profiles remove")
    work.needed(deployment, chosen)
    people.remove_profile(deployment.state, profile)
    terminal.say(f"The profile {terminal.plain(profile)} is removed.")


@app.command()
def grant(
    profile: ProfileName,
    who: Who,
    role: RoleName,
    group: Group = False,
    tier: TierOption = "",
    name: Name = "pantheon",
) -> None:
    """Give a user a role in a profile; it holds at the next request. PROFILE '*' is every profile."""
    change(profile, who, role, group, tier, name, "profiles grant", f"{who} has the role {role} in {profile}.")


@app.command()
def revoke(
    profile: ProfileName, who: Who, group: Group = False, tier: TierOption = "", name: Name = "pantheon"
) -> None:
    """Take a user's role in a profile away; it holds at the next request."""
    change(profile, who, "", group, tier, name, "profiles revoke", f"{who} has no role in {profile}.")


def change(profile: str, who: str, role: str, group: bool, tier: str, name: str, verb: str, said: str) -> None:
    from pantheon import terminal
    from pantheon.deployment import people as work
    from pantheon.hub import people

    deployment, chosen = existing(name, tier, verb)
    work.needed(deployment, chosen)
    people.grant(deployment.state, profile, who, role, group=group)
    terminal.say(terminal.plain(said))

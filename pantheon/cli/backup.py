"""``backup`` and ``restore``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pantheon.cli.options import Confirm, EngineName, Json, Name, Offset, TierOption, confirm_first, existing, opened
from pantheon.errors import PantheonError

File = Annotated[str, typer.Argument(metavar="FILE", envvar="PANTHEON_FILE", help="the file of the backup: NAME.zip")]
Base = Annotated[
    str,
    typer.Option(
        "--base",
        envvar="PANTHEON_BASE",
        help="an earlier backup: what has not changed since is not written again; for restore: its file or folder",
    ),
]
Secrets = Annotated[
    str, typer.Option("--secrets", envvar="PANTHEON_SECRETS", help="none: leave them out, or make new ones")
]
PassphraseFile = Annotated[
    str,
    typer.Option(
        "--passphrase-file",
        envvar="PANTHEON_PASSPHRASE_FILE",
        help="a file with the passphrase of the secrets; -: standard input; default: ask",
    ),
]


def backup(
    file: File = "",
    base: Base = "",
    secrets: Secrets = "",
    passphrase_file: PassphraseFile = "",
    tier: TierOption = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Write the deployment to one file while it runs: models, runs, data, databases, notebooks, settings, secrets."""
    from pantheon import terminal
    from pantheon.deployment import backup as work

    deployment, chosen = existing(name, tier, "backup")
    path = _path(file)
    work.check_file(deployment, path, _path(base) if base else None)  # before a passphrase is typed
    passphrase = _passphrase(secrets, passphrase_file, again=True)
    done = work.backup(deployment, chosen, path, _path(base) if base else None, passphrase)
    if as_json:
        terminal.print_json(done)
        return
    content = f"{done['files']:,} files, {work.size(done['bytes'])}; the file has {work.size(done['size'])}"
    unchanged = f"; {done['unchanged']:,} files are as in {base}" if base else ""
    terminal.say(f"[green]✓[/] {terminal.plain(f'{path}: {content}{unchanged}')}")
    if passphrase is None:
        terminal.say("The secrets are not in it: a restored deployment gets new ones.")


def restore(
    file: File = "",
    base: Base = "",
    secrets: Secrets = "",
    passphrase_file: PassphraseFile = "",
    name: Annotated[
        str, typer.Option("--name", envvar="PANTHEON_NAME", help="of the new deployment; default: as in the backup")
    ] = "",
    engine: EngineName = "",
    port_offset: Offset = None,
    tier: TierOption = "",
    start: Annotated[
        bool, typer.Option("--start/--no-start", envvar="PANTHEON_START", help="start the services")
    ] = True,
    check: Annotated[bool, typer.Option("--check", help="only check all checksums; change nothing")] = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Make a deployment from a backup, and start it; the name must not be in use."""
    from pantheon import terminal
    from pantheon.backup.archive import Reader
    from pantheon.deployment import backup as words
    from pantheon.deployment import restore as work

    path, bases = _path(file), [_path(base)] if base else []
    if check:
        manifest = work.verify(path, bases)
        found = {"file": str(path), "deployment": manifest.deployment, "tier": manifest.tier, "complete": True}
        if as_json:
            terminal.print_json(found)
        else:
            terminal.say(f"[green]✓[/] {terminal.plain(f'{path}: {len(manifest.files):,} files, checksums match')}")
        return
    reader = Reader(path)
    manifest = reader.manifest
    reader.close()
    if tier and tier != manifest.tier:
        raise PantheonError(
            f"{path} is a backup of the tier {manifest.tier}, not of {tier}.",
            f"Use `make tier-{manifest.tier} restore`; `up` changes the tier afterwards.",
        )
    _confirm_code(manifest.engine, engine, manifest.deployment, confirm)
    sealed = manifest.secrets == "sealed"
    passphrase = _passphrase(secrets, passphrase_file, again=False) if sealed else None
    done = work.restore(path, work.Options(name, engine, port_offset, bases, passphrase))
    deployment = opened(done["deployment"])
    amount = f"{done['files']:,} files, {words.size(done['bytes'])}, of {manifest.created}"
    terminal.say(f"[green]✓[/] {terminal.plain(f'{deployment.name} is restored: {amount}')}")
    if passphrase is None:
        terminal.say("It has new secrets: see docs/backup.md for what to set again.")
    if start:
        from pantheon.cli import views
        from pantheon.deployment import opening
        from pantheon.deployment import up as starting

        chosen = opening.to_bring_up(deployment, "")
        result = starting.up(deployment, chosen, starting.Options(first_run=False))
        terminal.print_json(done | {"status": result}) if as_json else views.show_status(result)
    elif as_json:
        terminal.print_json(done)
    else:
        terminal.say(terminal.plain(f"Start it: {deployment.command('up')}"))


def _path(given: str) -> Path:
    if not given:
        raise PantheonError("FILE= is missing.", "For example: make backup FILE=pantheon.zip")
    return Path(given).expanduser().absolute()


def _passphrase(secrets: str, file: str, again: bool) -> str | None:
    """Return the passphrase; None if the secrets are left out.

    Args:
        again: ask twice: a mistyped passphrase would lose the secrets.
    """
    if secrets not in ("", "none"):
        raise PantheonError(f"SECRETS={secrets} is not valid.", "Use SECRETS=none, or omit it.")
    if secrets:
        return None
    if file == "-":
        text = sys.stdin.readline()
    elif file:
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PantheonError(f"PASSPHRASE_FILE={file} cannot be read: {error}.", "Choose a text file.") from None
    elif sys.stdin.isatty():
        text = typer.prompt("Passphrase for the secrets", hide_input=True, confirmation_prompt=again)
    else:
        raise PantheonError(
            "the secrets in a backup need a passphrase.",
            "Set PASSPHRASE_FILE= to a file that contains it, or leave them out: SECRETS=none.",
        )
    if not text.strip("\r\n"):
        raise PantheonError("the passphrase is empty.", "Choose one; or leave the secrets out: SECRETS=none.")
    return text.strip("\r\n")


def _confirm_code(before: str, after: str, name: str, confirm: str) -> None:
    """Ask before code that containers could write, such as notebooks, comes to run on this machine."""
    from pantheon.engines import on_host

    if on_host(before) or not on_host(after) or confirm == "yes":
        return
    cause = f"This backup is of containers: with ENGINE={after}, the code of its notebooks and extensions runs as you."
    confirm_first(cause, f"make restore FILE=… ENGINE={after} CONFIRM=yes", name)

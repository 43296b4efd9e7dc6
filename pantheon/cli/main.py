"""``pantheon``: the commands, the same on every engine. Each command imports what it needs when it runs."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from pantheon.cli import (
    advise,
    alerts,
    ask,
    backup,
    bundle,
    compare,
    dvc,
    exercise,
    feast,
    features,
    feedback,
    images,
    keys,
    look,
    models,
    monitor,
    objects,
    orders,
    pipeline,
    predict_file,
    predictions,
    profiles,
    route,
    run,
    stop,
    up,
    users,
    workshop,
)
from pantheon.cli.options import completed
from pantheon.errors import PantheonError, describe

INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended: 128 + SIGINT

app = typer.Typer(
    name="pantheon",
    help="Nine ML-platform architectures, one ML workflow.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(up.up, run.run, run.stage, run.approve, run.hold, ask.predict, ask.ask),
    *(look.status, look.logs, stop.down, stop.destroy, look.doctor, look.test, look.runs, look.unit, look.tier),
):
    app.command()(command)
app.command("predict-file")(predict_file.predict_file)
app.add_typer(models.app)
for group in (
    *(keys.app, route.app, feedback.app, alerts.app, features.app),
    *(users.app, profiles.app, pipeline.app, orders.app, workshop.app),
):
    app.add_typer(group)
app.command()(predictions.predictions)
app.command()(predictions.forget)
app.command()(monitor.monitor)
app.command(**dvc.OPTIONS)(dvc.dvc)
app.command(**feast.OPTIONS)(feast.feast)
app.command()(objects.apply)
app.command()(objects.get)
app.command()(objects.describe)
app.command()(objects.suspend)
app.command()(objects.resume)
app.command()(objects.delete)
app.command()(advise.advise)
app.command()(compare.compare)
app.command()(exercise.exercise)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(bundle.bundle)
app.command()(images.images)
app.command("images-save")(images.images_save)
app.command("images-load")(images.images_load)
app.command()(images.prepare)


def show_version(wanted: bool) -> None:
    if wanted:
        from pantheon import __version__

        sys.stdout.write(f"pantheon {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Show the version."),
) -> None:
    pass


@app.command("help")
def help_() -> None:
    """Show the goals and settings of make."""
    from pantheon import terminal
    from pantheon.cli.help import TEXT

    terminal.out.print(TEXT)


def main() -> None:
    """Run the command line. Print an error as one line with what to do about it, never as a traceback."""
    try:
        trust_company()
        status = app(standalone_mode=False, prog_name="bin/pantheon") or 0
        if status == INTERRUPTED:  # Typer's answer to a KeyboardInterrupt that no command handles
            raise KeyboardInterrupt
        sys.exit(status)
    except PantheonError as error:
        fail(completed(f"{error}"), error.status)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted.", INTERRUPTED)
    except BrokenPipeError:  # `pantheon logs | head`
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, an unreadable file: errors that no other code handles
        fail(f"{describe(error)}", 1)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help
            sys.stderr.write(f"{error}\n")
            sys.exit(2)
        if hasattr(error, "format_message"):  # the argument parser's own errors
            fail(f"{error.format_message()} See `bin/pantheon --help`.", 2)
        raise


def trust_company() -> None:
    """Have the S3 clients of this command and of services trust the certificates of ``CA=``.

    Raises:
        PantheonError: it is not a file.
    """
    given = os.environ.get("PANTHEON_CA")
    if given:
        file = Path(given).expanduser().absolute()
        if not file.is_file():
            raise PantheonError(f"CA={given} is not a file.", "Set it to a file with certificates in PEM format.")
        os.environ["AWS_CA_BUNDLE"] = str(file)  # which every AWS client reads


def fail(message: str, status: int) -> NoReturn:
    from pantheon.terminal import printable

    sys.stderr.write(f"pantheon: {printable(message)}\n")
    sys.exit(status)

"""``pantheon``: the verbs, the same on every engine. Only what a verb needs is imported, when it runs."""

import sys
from typing import Annotated, Any

import typer

from pantheon.cli import ask, decisions, image_commands, look_commands, models, versioning
from pantheon.cli.options import (
    Approval,
    Data,
    EngineName,
    Json,
    Name,
    Offset,
    Seed,
    Target,
    TierName,
    Trials,
    Without,
    opened,
    parts,
)
from pantheon.errors import PantheonError

app = typer.Typer(
    name="pantheon",
    help="Nine ML-platform architectures, one ML workflow.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def up(
    tier: TierName = "",
    name: Name = "pantheon",
    engine: EngineName = "",
    data: Data = "",
    target: Target = "",
    port_offset: Offset = None,
    approval: Approval = None,
    trials: Trials = None,
    seed: Seed = None,
    without: Without = "",
    variant: Annotated[
        str, typer.Option("--variant", envvar="PANTHEON_VARIANT", help="another way to do it: pycaret; none")
    ] = "",
    s3: Annotated[
        str,
        typer.Option(
            "--s3-endpoint-url",
            envvar=["PANTHEON_S3_ENDPOINT_URL", "S3_ENDPOINT_URL"],
            help="another S3 than ours, with the keys in AWS_ACCESS_KEY_ID …; aws; none: ours",
        ),
    ] = "",
    bucket: Annotated[
        str, typer.Option("--s3-bucket", envvar=["PANTHEON_S3_BUCKET", "S3_BUCKET"], help="its bucket")
    ] = "",
    schedule: Annotated[
        str | None,
        typer.Option("--schedule", envvar="PANTHEON_SCHEDULE", help="when Airflow starts a run, cron; off: never"),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", envvar="PANTHEON_RUN", help="run the workflow once if no model is there")
    ] = True,
    as_json: Json = False,
) -> None:
    """Bring a tier up, or grow the deployment to it in place; again: nothing to do."""
    from pantheon.cli import objects, show
    from pantheon.cli import up as upping
    from pantheon.tiers import components

    deployment = opened(name, must_exist=False)
    chosen = upping.tier_of(deployment, tier)
    if port_offset is not None and not 0 <= port_offset <= 40000:
        raise PantheonError(f"PORT_OFFSET={port_offset} leads outside the ports there are.", "Use 0 to 40000.")
    if approval not in (None, "auto", "required"):
        raise PantheonError(f"APPROVAL={approval} is not known.", "Use APPROVAL=auto or APPROVAL=required.")
    for key, value in {"port_offset": port_offset, "approval": approval, "trials": trials, "seed": seed}.items():
        if value is not None:
            setattr(deployment.settings, key, value)
    deployment.leave_out(chosen, without)
    deployment.choose_variant(chosen, variant)
    if "s3" in components(chosen):
        objects.choose(deployment, s3, bucket)
    if schedule is not None:
        deployment.settings.schedule = cron(schedule)
    found = upping.up(deployment, chosen, engine, data, target, run)
    show.print_json(found) if as_json else upping.show_status(found)
    if found.get("outcome", {}).get("decision") == "refused":
        raise typer.Exit(1)


def cron(text: str) -> str:
    """``SCHEDULE=`` as five fields of cron, or empty for ``off``.

    Raises:
        PantheonError: it is neither.
    """
    import re

    if text in ("off", "none", ""):
        return ""
    if not re.fullmatch(r"@(hourly|daily|weekly|monthly)|[0-9*/,-]+( [0-9*/,A-Za-z-]+){4}", text):
        raise PantheonError(
            f"SCHEDULE={text} is no schedule.", "Use cron, such as SCHEDULE='0 3 * * *', @daily or off."
        )
    return text


@app.command()
def run(
    tier: TierName = "",
    name: Name = "pantheon",
    data: Data = "",
    target: Target = "",
    approval: Approval = None,
    trials: Trials = None,
    seed: Seed = None,
    resume: Annotated[str, typer.Option("--resume", help="go on with this run, or `latest`, where it stopped")] = "",
    as_json: Json = False,
) -> None:
    """Run the workflow, stage by stage, to a model that the gate lets through or not."""
    from pantheon.cli import envs, show, workflow

    deployment, chosen, engine = parts(name, tier, loud=True)
    given = {"approval": approval, "trials": trials, "seed": seed}
    for key, value in given.items():
        if value is not None:
            setattr(deployment.settings, key, value)  # for this run; `up` is what changes the deployment
    envs.prepare(engine, ["workflow"])
    dataset = workflow.prepare_dataset(deployment, engine, data, target)
    outcome = workflow.run(deployment, engine, chosen, dataset, again=resume)
    if outcome["decision"] == "promoted" and deployment.settings.dataset != dataset.name and not resume:
        opened(name).update(dataset=dataset.name)
    workflow.show_outcome(outcome, chosen.name)
    if as_json:
        show.print_json(outcome)
    if outcome["decision"] == "refused":
        raise typer.Exit(1)


@app.command()
def stage(
    stage: Annotated[str, typer.Argument(help="load_data, clean_data, split_data, preprocess …")],
    run: Annotated[str, typer.Option("--run", help="the run's id, or `latest`")],
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Run one stage on a run's folder."""
    from pantheon.cli import envs, show, summary, workflow

    _, _, engine = parts(name, "")
    envs.prepare(engine, ["workflow"])
    last: dict[str, Any] = {}
    workflow.Task(engine)(["stage", stage, "--run", run], last.update)
    if as_json:
        show.print_json(last)
    else:
        words = summary.summary_words(last.get("summary", {}))
        show.out.print(f"{show.MARKS['done']} {stage}  {show.seconds(last.get('seconds', 0.0))}  {words}")


@app.command()
def predict(
    tier: TierName = "",
    row: Annotated[
        str, typer.Option("--row", envvar="PANTHEON_ROW", help="a JSON object, a list of them, or - for standard input")
    ] = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Ask the model that is deployed."""
    from pantheon.cli import predict as predicting
    from pantheon.cli import show

    rows = predicting.read_rows(row)
    deployment, chosen, engine = parts(name, "")
    answer = predicting.predict(deployment.address(engine, "button"), rows, chosen.name)
    show.print_json(answer) if as_json else predicting.show_answer(answer)


app.command()(look_commands.status)
app.command()(look_commands.logs)


@app.command()
def down(tier: TierName = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Stop the services; never deletes data."""
    from pantheon.cli import show

    deployment, _, engine = parts(name, "")
    engine.down()
    if as_json:
        show.print_json({"name": deployment.name, "stopped": True})
    else:
        show.say(
            f"{deployment.name} is stopped. Data, models and runs stay; again: make tier-{deployment.settings.tier} up"
        )


@app.command()
def destroy(
    tier: TierName = "",
    name: Name = "pantheon",
    confirm: Annotated[str, typer.Option("--confirm", envvar="PANTHEON_CONFIRM", help="yes: do not ask")] = "",
) -> None:
    """Stop the services and delete the deployment: data, models, runs, secrets. Asks first."""
    import shutil

    from pantheon.cli import show

    deployment, chosen, engine = parts(name, "")
    if confirm != "yes":
        if not sys.stdin.isatty():
            raise PantheonError(
                f"destroy deletes every model and run of {deployment.name!r}.",
                f"If you mean it: make tier-{chosen.name} destroy CONFIRM=yes",
            )
        if typer.prompt(f"Delete all of {deployment.state}? Type the deployment's name") != deployment.name:
            raise PantheonError("nothing was deleted.", status=1)
    engine.destroy()
    shutil.rmtree(deployment.state)
    show.say(f"{deployment.name} is gone.")


for verb in (look_commands.doctor, look_commands.test, look_commands.runs, look_commands.tier):
    app.command()(verb)
app.add_typer(models.app)
app.command()(ask.ask)
app.command(**versioning.DVC)(versioning.dvc)
app.command()(decisions.approve)
app.command()(decisions.hold)
app.command()(image_commands.images)
app.command("images-save")(image_commands.images_save)
app.command("images-load")(image_commands.images_load)
app.command()(image_commands.prepare)


@app.command("help")
def help_() -> None:
    """The goals of make, in one page."""
    from pantheon.cli import show
    from pantheon.cli.help import TEXT

    show.out.print(TEXT, markup=True)


def main() -> None:
    """Run the command line; every error of ours is one line with the way out, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except PantheonError as error:
        fail(f"{error}", error.status)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted.", 130)
    except BrokenPipeError:  # `pantheon logs | head`
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a file that may not be read: what nobody nearer has put in words
        fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.", 1)
    except Exception as error:
        if hasattr(error, "format_message"):  # the argument parser's own errors
            fail(f"{error.format_message()} See: bin/pantheon --help", 2)
        raise


def fail(message: str, status: int) -> None:
    sys.stderr.write(f"pantheon: {message}\n")
    sys.exit(status)

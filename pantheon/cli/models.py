"""``pantheon models``: manage the model store of a deployment. The commands are the same at every tier."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Confirm, Json, Name, Note, TierOption, confirm_first, running

app = typer.Typer(
    name="models",
    help="Manage the models of a deployment: list, show, publish, promote, rollback, verify, gc, checkout.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    str, typer.Option("--model", envvar="PANTHEON_MODEL", help="the model's name; default: the deployment's model")
]
Which = Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="the version number")]
OrAlias = Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="the version number, or an alias")]
OrAll = Annotated[str, typer.Argument(envvar="PANTHEON_VERSION", help="the version number, or all")]
To = Annotated[
    str, typer.Option("--to", envvar="PANTHEON_VERSION", help="the version to serve; default: the previous champion")
]
AliasName = Annotated[str, typer.Option("--alias", envvar="PANTHEON_ALIAS", help="champion, challenger …")]


@app.command("list")
def list_(tier: TierOption = "", model: Model = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """List every version, newest first: time, score, run, data, alias and size."""
    from pantheon import terminal
    from pantheon.cli import model_views as views
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "models list")
    found = inside.models(deployment, engine, "list", model or deployment.settings.dataset)
    terminal.print_json(found) if as_json else views.show_list(found)


@app.command()
def show(
    version: OrAlias = "champion",
    tier: TierOption = "",
    model: Model = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show a version's manifest, lineage, git commit, DVC data and the address of every file."""
    from pantheon import terminal
    from pantheon.cli import model_views as views
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "models show")
    found = inside.models(deployment, engine, "show", model or deployment.settings.dataset, version=version)
    terminal.print_json(found) if as_json else views.show_version(found)


@app.command()
def promote(
    version: Which,
    alias: AliasName = "champion",
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Point an alias at a version; the champion is served from the next prediction on."""
    from pantheon.deployment import model_moves

    deployment, _, engine = running(name, tier, "models promote")
    move = model_moves.Move(deployment, engine, model or deployment.settings.dataset)
    finish(move.promote(version, alias, note), as_json)


@app.command()
def rollback(
    to: To = "",
    tier: TierOption = "",
    model: Model = "",
    note: Note = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Make the previous champion, or another version, the champion; it is served from the next prediction on."""
    from pantheon.deployment import model_moves

    deployment, _, engine = running(name, tier, "models rollback")
    move = model_moves.Move(deployment, engine, model or deployment.settings.dataset)
    finish(move.rollback(to or None, note), as_json)


@app.command()
def verify(
    version: OrAll = "all", tier: TierOption = "", model: Model = "", name: Name = "pantheon", as_json: Json = False
) -> None:
    """Verify the checksums of one version's files, or of all, and list every damaged file."""
    from pantheon import terminal
    from pantheon.cli import model_views as views
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "models verify")
    found = inside.models(deployment, engine, "verify", model or deployment.settings.dataset, version=version)
    terminal.print_json(found) if as_json else views.show_verified(found)
    if any(each["problems"] for each in found["versions"]):
        raise typer.Exit(1)


@app.command()
def gc(
    keep: Annotated[int, typer.Option("--keep", min=1, help="how many of the newest versions to keep")] = 10,
    older_than: Annotated[
        str, typer.Option("--older-than", help="remove only versions older than this, such as 30d or 12h")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed without removing it")] = False,
    tier: TierOption = "",
    model: Model = "",
    confirm: Confirm = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Remove old versions and leftovers of killed publishers; keep versions that an alias or a rollback needs."""
    from pantheon import terminal
    from pantheon.cli import model_views as views
    from pantheon.deployment import inside

    deployment, _, engine = running(name, tier, "models gc")
    chosen = model or deployment.settings.dataset
    plan = inside.models(deployment, engine, "plan", chosen, keep=keep, older_than=older_than)
    if not as_json:
        views.show_plan(plan)
    if not dry_run:
        if plan["remove"] and confirm != "yes":
            count = len(plan["remove"])
            command = deployment.command("models gc", keep=keep, older_than=older_than, model=model, confirm="yes")
            confirm_first(
                f"gc permanently deletes {count} version{'s' if count > 1 else ''} of {chosen!r}.", command, chosen
            )
        plan |= inside.ask(deployment, engine, "models.remove", found=plan)
        if not as_json:
            views.show_removed(plan)
    if as_json:
        terminal.print_json(plan)


@app.command()
def publish(
    path: Annotated[
        str,
        typer.Argument(
            help="model.onnx, a bundle's folder, model.joblib or model.pkl (scikit-learn), model.json or model.ubj "
            "(XGBoost), model.txt (LightGBM), model.keras or model.h5, or a SavedModel's folder or zip"
        ),
    ],
    signature: Annotated[
        str,
        typer.Option("--signature", help="signature.json, which describes the inputs and outputs; only ONNX needs it"),
    ] = "",
    tier: TierOption = "",
    model: Model = "",
    alias: AliasName = "challenger",
    note: Note = "",
    trust: Annotated[bool, typer.Option("--trust", help="load a pickle without asking: you trust its author")] = False,
    confirm: Confirm = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Check and publish a model built elsewhere; it becomes the challenger unless --alias names another alias.

    Other formats than ONNX are converted first, in an environment that is made only then.
    """
    from pantheon.cli import model_views as views
    from pantheon.deployment import model_files, model_publish

    deployment, _, engine = running(name, tier, "models publish")
    file = model_files.chosen(path, signature)
    if file.is_pickle and not trust and confirm != "yes":
        views.warn_of_pickle(file.path, engine.isolated)
        given = {"signature": signature, "model": model, "alias": alias, "note": note}
        command = deployment.command("models publish", path, **given, trust=True)
        confirm_first(f"{path} was not loaded.", command, file.path.name)
    chosen = model or deployment.settings.dataset
    finish(model_publish.publish(deployment, engine, file, chosen, alias, note), as_json)


@app.command()
def checkout(
    version: OrAlias = "champion",
    tier: TierOption = "",
    model: Model = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Restore the data, parameters and code that made a version, in a separate folder (from odysseus on)."""
    from pantheon.deployment import inside, versions

    deployment, _, engine = running(name, tier, "models checkout")
    chosen = model or deployment.settings.dataset
    number = inside.models(deployment, engine, "number", chosen, version=version)
    finish(versions.checkout(deployment, engine, chosen, number), as_json)


def finish(done: dict[str, Any], as_json: bool) -> None:
    """Print the result as JSON if requested; progress has been printed already."""
    from pantheon import terminal

    if as_json:
        terminal.print_json(done)

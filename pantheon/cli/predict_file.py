"""``pantheon predict-file``: predict the rows of a file."""

from typing import Annotated, Any

import typer

from pantheon.cli.options import Header, Json, Name, TierOption, running

SOME_REFUSED = 3  # the exit status if the output has not all rows
Input = Annotated[str, typer.Argument(metavar="INPUT", help="a CSV, Parquet or Excel file")]
Output = Annotated[str, typer.Argument(metavar="OUTPUT", help="the file to write: .csv, .tsv, .parquet or .xlsx")]
Model = Annotated[
    str, typer.Option("--model", envvar="PANTHEON_MODEL", help="the model's name; default: the deployment's model")
]
Version = Annotated[
    str, typer.Option("--version", envvar="PANTHEON_VERSION", help="the version number, or an alias; default: champion")
]
Probabilities = Annotated[bool, typer.Option("--probabilities", help="add a column for the probability of each class")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace OUTPUT if it exists")]


def predict_file(
    input: Input,
    output: Output,
    tier: TierOption = "",
    model: Model = "",
    version: Version = "champion",
    probabilities: Probabilities = False,
    header: Header = "",
    overwrite: Overwrite = False,
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Predict every row of a file; rows with invalid values are written to a file of their own, with the reason."""
    from pantheon import terminal
    from pantheon.deployment import predict_file as predicting

    deployment, _, engine = running(name, tier, "predict-file")
    chosen = model or deployment.settings.dataset
    asked = predicting.Asked(input, output, chosen, version or "champion", probabilities, header, overwrite)
    done = predicting.predict(engine, asked)
    terminal.print_json(done) if as_json else _show(done)
    if done["refused"]:
        raise typer.Exit(SOME_REFUSED)


def _show(done: dict[str, Any]) -> None:
    from pantheon import terminal
    from pantheon.cli.views import show_refused

    show_refused(done, "not predicted")
    if done["output"]:
        terminal.say(terminal.plain(f"predictions: {done['output']}"))

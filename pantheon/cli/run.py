"""Run the workflow with ``run`` and ``stage``; decide about the challenger with ``approve`` and ``hold``."""

from typing import Annotated

import typer

from pantheon.cli.options import (
    Approval,
    Data,
    Dataset,
    Folds,
    Header,
    Ignore,
    Infer,
    Json,
    Metric,
    Name,
    Note,
    Seed,
    Target,
    TierName,
    Trials,
    running,
)

Waiting = Annotated[
    str,
    typer.Option(
        "--model", envvar="PANTHEON_MODEL", help="the model with the challenger; default: the only one that has one"
    ),
]


def run(
    tier: TierName = "",
    name: Name = "pantheon",
    data: Data = "",
    target: Target = "",
    header: Header = "",
    infer: Infer = "",
    dataset: Dataset = "",
    ignore: Ignore = "",
    approval: Approval = None,
    trials: Trials = None,
    seed: Seed = None,
    folds: Folds = None,
    metric: Metric = None,
    resume: Annotated[str, typer.Option("--resume", help="continue this run, or `latest`, from where it stopped")] = "",
    as_json: Json = False,
) -> None:
    """Run the workflow stage by stage and train a new model; the gate accepts or rejects it."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import execution
    from pantheon.deployment.datasets import Asked

    deployment, chosen, engine = running(name, tier, "run", loud=True)
    given = {"approval": approval, "trials": trials, "seed": seed, "folds": folds, "metric": metric}
    for key, value in given.items():
        if value is not None:
            setattr(deployment.settings, key, value)  # for this run; `up` changes the deployment
    asked = Asked(data, target, header, infer, dataset, ignore)
    outcome = execution.train(deployment, engine, chosen, asked, resume)
    views.show_outcome(outcome, deployment)
    if as_json:
        terminal.print_json(outcome)
    if outcome["decision"] == "refused":
        raise typer.Exit(1)


def stage(
    stage: Annotated[str, typer.Argument(help="load_data, clean_data, split_data, preprocess …")],
    run: Annotated[str, typer.Option("--run", help="the run ID, or `latest`")],
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Run one stage of an existing run."""
    from pantheon import terminal
    from pantheon.deployment import execution, summary

    _, _, engine = running(name, "", "stage")
    done = execution.stage(engine, stage, run)
    if as_json:
        terminal.print_json(done)
        return
    note = summary.summary_note(done.get("summary", {}))
    line = f"{stage}  {terminal.seconds(done.get('seconds', 0.0))}  {note}"
    terminal.out.print(f"{terminal.MARKS['done']} {terminal.plain(line)}")
    for said in done.get("notes", []):
        terminal.warn(said)


def approve(
    tier: TierName = "", name: Name = "pantheon", model: Waiting = "", note: Note = "", as_json: Json = False
) -> None:
    """Deploy the challenger."""
    decide("approve", tier, name, model, note, as_json)


def hold(
    tier: TierName = "", name: Name = "pantheon", model: Waiting = "", note: Note = "", as_json: Json = False
) -> None:
    """Reject the challenger, with a note that gives the reason."""
    decide("hold", tier, name, model, note, as_json)


def decide(verb: str, tier: str, name: str, model: str, note: str, as_json: bool) -> None:
    from pantheon import terminal
    from pantheon.deployment import execution

    deployment, _, engine = running(name, tier, verb)
    made = execution.decide(deployment, engine, verb, model, note)
    done = "is deployed" if verb == "approve" else "is held"
    message = terminal.plain(f"{made['model']} version {made['version']} {done}.")
    terminal.print_json(made) if as_json else terminal.say(message)

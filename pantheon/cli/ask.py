"""Commands that query the running button: ``predict`` and ``ask``."""

from typing import Annotated

import typer

from pantheon.cli.options import Json, Name, TierName, running

Row = Annotated[
    str, typer.Option("--row", envvar="PANTHEON_ROW", help="a JSON object, a list of them, or - for standard input")
]
At = Annotated[
    str, typer.Option("--at", envvar="PANTHEON_AT", help="the time T: 2026-11-22T10:00 (local) or '10 minutes ago'")
]
Request = Annotated[
    str,
    typer.Option(
        "--request",
        envvar="PANTHEON_REQUEST",
        metavar="ID",
        help="“this request”: the x-request-id of its answer; default: the newest",
    ),
]
Entity = Annotated[
    str,
    typer.Option(
        "--entity",
        envvar="PANTHEON_ENTITY",
        metavar="ID",
        help="“this entity”: robot-id=7; default: the newest",
    ),
]


def predict(tier: TierName = "", row: Row = "", name: Name = "pantheon", as_json: Json = False) -> None:
    """Get a prediction from the deployed model."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import predict as predicting

    rows = predicting.read_rows(row)
    deployment, _, engine = running(name, tier, "predict")
    answer = predicting.predict(deployment.address(engine, "button"), rows)
    terminal.print_json(answer) if as_json else views.show_answer(answer)


def ask(
    tier: TierName = "",
    at: At = "",
    request: Request = "",
    entity: Entity = "",
    name: Name = "pantheon",
    as_json: Json = False,
) -> None:
    """Show which questions this architecture can answer, with live answers and their sources."""
    from pantheon import terminal
    from pantheon.cli import views
    from pantheon.deployment import logins, questions

    moment = questions.time(at) if at else None
    deployment, _, engine = running(name, tier, "ask")
    answers = questions.ask(deployment.address(engine, "button"), moment, logins.headers(deployment), request, entity)
    terminal.print_json(answers) if as_json else views.show_questions(answers)

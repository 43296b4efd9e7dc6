"""``feedback import``: a task checks the file against the log, and this process sends what it accepts to the endpoint.

The endpoint writes the log on every engine, so feedback of a file goes the same way as that of an application.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pantheon import terminal
from pantheon.deployment.datasets import check_readable
from pantheon.deployment.deployment import Deployment
from pantheon.deployment.sent_files import divide, new_file, refused_beside
from pantheon.deployment.task import Task
from pantheon.engines import Engine
from pantheon.errors import PantheonError
from pantheon.web.client import Client

KEY = "endpoint_keys/import"
CHECKING, SENDING = "checking", "sending"
RETRY_SECONDS = 30.0  # while the endpoint restarts, or its log is full
REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    Attributes:
        file: a path as it was typed.
        overwrite: whether to replace the file of an earlier call's refused rows.
    """

    file: str
    overwrite: bool = False

    @property
    def refused(self) -> Path:
        """The file of the rows that are refused."""
        return refused_beside(Path(self.file).expanduser(), ".csv")


def take(deployment: Deployment, engine: Engine, asked: Asked) -> dict[str, Any]:
    """Take the feedback in a file; taking it again changes nothing.

    Returns:
        ``{"rows", "sent", "refused", "refused_file", "first", "notes"}``: ``first`` is ``[[number of the row, why]]``
        of the first rows that are refused, ``refused_file`` has them all (None: there are none).

    Raises:
        PantheonError: the file cannot be used, or the endpoint does not take it; says how many pieces it has taken.
    """
    file, refused = Path(asked.file).expanduser(), asked.refused
    check_readable(file, asked.file, "Use a CSV, Parquet or JSON file with the columns id, row, correct and others.")
    if refused.exists() and not asked.overwrite:
        raise PantheonError(f"{refused} exists.", "Move it away, or replace it: --overwrite")
    client = endpoint(deployment, engine)
    engine.prepare(["workflow"])
    now = file.stat()
    at = datetime.fromtimestamp(min(now.st_mtime, time.time()), UTC).isoformat()
    arguments = ["--file", file.name, f"--called={asked.file}", "--size", str(now.st_size), "--at", at]
    made: dict[str, Any] = {}
    with terminal.steps() as steps, new_file(refused) as accepted:
        with terminal.step(CHECKING), new_file(refused) as rest:

            def on_event(event: dict[str, Any]) -> None:
                if event["event"] == "rows":
                    steps.note(CHECKING, f"{event['done']:,} of {event['of']:,} rows")
                made.update(event)

            task = Task(engine, "pantheon.predictions.feedback_task")
            task(arguments, on_event, input=file, output=accepted.file.fileno())
            divide(accepted, made["bytes"], made["refused_bytes"], rest)
            if made["refused"]:
                rest.place(refused, asked.overwrite)
            elif asked.overwrite:
                refused.unlink(missing_ok=True)
        with terminal.step(SENDING):

            def progress(done: int) -> None:
                steps.note(SENDING, f"{done:,} of {made['accepted']:,} rows")

            send(client, accepted.file, made["accepted"], progress)
    return {
        **{name: made[name] for name in ("rows", "refused", "first", "notes")},
        "sent": made["accepted"],
        "refused_file": str(refused) if made["refused"] else None,
    }


def endpoint(deployment: Deployment, engine: Engine) -> Client:
    """Return a client of the deployment's endpoint, with its own key.

    Raises:
        PantheonError: there is no endpoint, or no key.
    """
    if all(each.name != "endpoint" for each in engine.planned()):
        raise PantheonError("this tier has no endpoint, and therefore no feedback.", "It comes with epimetheus.")
    key = deployment.state / "secrets" / KEY
    try:
        token = key.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise PantheonError(f"{key} does not exist.", "`up` makes it.", 1) from None
    headers = {"Authorization": f"Bearer {token}"}
    return Client(engine.address("endpoint"), "the endpoint", "Look at it: `status`", headers)


def send(client: Client, lines: Iterable[bytes], count: int, progress: Callable[[int], None]) -> None:
    """Send feedback, one piece a line, to the endpoint.

    Raises:
        PantheonError: it does not take a piece; says how many it has taken.
    """
    done, told = 0, time.monotonic()
    try:
        for line in lines:
            answer = client.ask("POST", "/feedback", json.loads(line), retry_seconds=RETRY_SECONDS)
            if not answer.ok:
                raise PantheonError(f"the endpoint refuses feedback: {answer.reason('error', 'message')}", "", 1)
            done += 1
            if time.monotonic() - told > REPORT_SECONDS:
                progress(done)
                told = time.monotonic()
    except PantheonError as error:
        taken = f"{done:,} of {count:,} pieces of feedback were taken."
        cure = f"{error.cure} Then run the command again: what is taken twice counts once.".strip()
        raise PantheonError(f"{taken} {error.cause[:1].upper()}{error.cause[1:]}", cure, 1) from None
    except KeyboardInterrupt:
        terminal.say(f"{done:,} of {count:,} pieces of feedback were taken; what is taken twice counts once.")
        raise

"""The service ``evidently``: makes Evidently's HTML report of rows that it is sent. Runs in an environment of its own.

``python -m pantheon.monitoring.evidently``. Each report is made by a child process (``render``), whose memory, several
hundred MB, is given back at its end.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.monitoring.http import Answer, Server
from pantheon.processes import bound_to_me

BODY = 64 << 20  # bytes
SECONDS = 240.0  # for one report
OTHERS = {"DO_NOT_TRACK": "1", "MPLBACKEND": "agg"}  # no telemetry; no windows


def say(line: str) -> None:
    print(f"evidently: {line}", file=sys.stderr, flush=True)


class Rendering:
    """Makes one report at a time."""

    def __init__(self) -> None:
        self.turn = threading.Lock()

    def __call__(self, body: Any) -> Answer:
        """Answer ``{"kinds", "current", "reference"}`` with HTML.

        Raises:
            PantheonError: Evidently cannot make the report.
        """
        sent = json.dumps({key: dict(body[key]) for key in ("kinds", "current", "reference")})
        with self.turn:
            try:
                done = subprocess.run(
                    [sys.executable, "-P", "-m", "pantheon.monitoring.evidently", "render"],
                    input=sent.encode(),
                    capture_output=True,
                    timeout=SECONDS,
                    check=False,
                    env={**os.environ, **OTHERS},
                    preexec_fn=bound_to_me(),
                )
            except subprocess.TimeoutExpired:
                raise PantheonError(f"Evidently needed more than {SECONDS:g} s.", "", 1) from None
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            say(text)
            raise PantheonError((text.splitlines() or ["it ended without a word"])[-1][:300], "", 1)
        return "text/html; charset=utf-8", done.stdout


def render() -> None:
    """Read rows from standard input, and write the HTML to standard output."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    given = json.loads(sys.stdin.buffer.read())
    kinds: dict[str, str] = given["kinds"]
    numbers = [name for name, kind in kinds.items() if kind in ("number", "integer")]
    categories = [name for name in kinds if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)

    def dataset(rows: dict[str, list[Any]]) -> Any:
        frame = pd.DataFrame({name: rows[name] for name in kinds})
        for name in numbers:
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        for name in categories:
            frame[name] = frame[name].map(lambda value: None if value is None else str(value))
        return Dataset.from_pandas(frame, data_definition=definition)

    report = Report([DataDriftPreset(), DataSummaryPreset()])
    made = report.run(dataset(given["current"]), dataset(given["reference"]))
    sys.stdout.buffer.write(made.get_html_str(as_iframe=False).encode())


def main() -> int:
    if sys.argv[1:] == ["render"]:
        render()
        return 0
    host, port = os.environ.get("EVIDENTLY_HOST", "127.0.0.1"), int(os.environ.get("EVIDENTLY_PORT", "8073"))
    token = Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "monitor_token"
    try:
        server = Server(host, port, token, {"/html": Rendering()}, BODY)
    except OSError as error:
        say(f"cannot listen on {host}:{port}: {error}.")
        return 1
    server.run(lambda: say(f"listening on http://{host}:{server.server_port}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

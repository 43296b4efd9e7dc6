"""The service ``monitor``: answers Airflow's questions, and tries again to deliver alerts that did not arrive.

Each question is answered by a child process, whose memory is given back at its end; one at a time.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.events import Reader
from pantheon.monitoring.deliver import again
from pantheon.monitoring.http import Answer, Server, as_json
from pantheon.processes import bound_to_me

AGAIN_SECONDS = 60.0  # between looks for alerts that wait
MOST_SECONDS = 1800.0  # for one question
OVER_HTTP = ("report", "served", "retrain", "begun")  # what Airflow may ask


def say(line: str) -> None:
    print(f"monitor: {line}", file=sys.stderr, flush=True)


class Asking:
    """Answers one question at a time, in a child process."""

    def __init__(self) -> None:
        self.turn = threading.Lock()

    def __call__(self, body: Any) -> Answer:
        """Answer ``{"question", "given"}`` with ``{"value"}``.

        Raises:
            PantheonError: the question failed.
        """
        question, given = str(body["question"]), dict(body.get("given") or {})
        if question not in OVER_HTTP:
            raise PantheonError(f"there is no question {question[:80]!r}.", f"Questions: {', '.join(OVER_HTTP)}.")
        with self.turn:
            return as_json({"value": asked(question, given)})


def asked(question: str, given: dict[str, Any]) -> Any:
    """Return the answer of a child process.

    Raises:
        PantheonError: it failed.
    """
    values: list[Any] = []
    reader = Reader("the monitor", lambda event: values.append(event["value"]), say)
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pantheon.monitoring", "ask", question, "--given", json.dumps(given)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=bound_to_me(),
    )
    try:
        output, errors = child.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise PantheonError(f"the monitor did not answer within {MOST_SECONDS / 60:g} minutes.", "", 1) from None
    for line in errors.splitlines():
        reader.text(line)
    for line in output.splitlines():
        reader.line(line)
    try:
        reader.check(child.returncode)
    except KeyboardInterrupt:
        raise PantheonError("the monitor was interrupted.", "Ask again.", 1) from None
    if not values:
        raise PantheonError("the monitor ended without an answer.", "Look at its log: `logs --service monitor`", 1)
    return values[-1]


def deliver_again(stop: threading.Event) -> None:
    """Deliver what waits, every minute, until ``stop`` is set; say each trouble once."""
    folder, secrets = Path(os.environ.get("MONITOR_DIR", "")), Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
    told = ""
    while not stop.wait(AGAIN_SECONDS):
        try:
            again(folder, secrets)
            told = ""
        except PantheonError as error:
            if str(error) != told:
                told = str(error)
                say(told)


def main() -> int:
    state, secrets = os.environ.get("STATE_DIR", ""), Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
    if not state or not Path(state).is_dir():
        say("STATE_DIR does not name a deployment's state folder. Start with `make tier-epimetheus up`.")
        return 2
    host, port = os.environ.get("MONITOR_HOST", "127.0.0.1"), int(os.environ.get("MONITOR_PORT", "8072"))
    try:
        server = Server(host, port, secrets / "monitor_token", {"/ask": Asking()})
    except OSError as error:
        say(f"cannot listen on {host}:{port}: {error}.")
        return 1
    stop = threading.Event()
    threading.Thread(target=deliver_again, args=(stop,), daemon=True).start()
    server.run(lambda: say(f"listening on http://{host}:{server.server_port}"))
    stop.set()
    return 0

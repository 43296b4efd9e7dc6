"""``feast`` in a terminal of JupyterLab: runs the command where Feast is, in the service ``feast``; see ``bin/feast``.

Standard library only: it also runs as a file, by ``python -S``, in environments that have nothing of ours.
"""

import http.client
import json
import os
import sys
import urllib.parse
from pathlib import Path

CLEAR = "\r\x1b[K"  # the terminal's line
MISSING = "this deployment does not have Feast, which the tier hephaestus adds. Grow to it: `make tier-hephaestus up`"


def progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def fail(text: str) -> int:
    progress(CLEAR)
    print(f"pantheon: {text}", file=sys.stderr)
    return 2


def main(arguments: list[str]) -> int:
    """Send the arguments, print what the command prints, and return its exit status."""
    address, file = os.environ.get("FEATURES_URL", ""), os.environ.get("FEATURES_KEY_FILE", "")
    try:
        key = Path(file).read_text(encoding="utf-8").strip()
    except OSError:
        return fail(MISSING)
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    body = json.dumps({"arguments": arguments}).encode()
    progress("Feast starts …")  # which takes seconds
    try:
        connection.request("POST", "/command", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        if answer.status != 200:
            error = json.loads(answer.read()).get("error") or {}
            return fail(f"{error.get('message', answer.status)} {error.get('cure', '')}".strip())
        for number, line in enumerate(answer):
            event = json.loads(line)
            if not number:
                progress(CLEAR)
            sys.stdout.write(event.get("out", ""))
            sys.stderr.write(event.get("err", ""))
            sys.stdout.flush()
            if "status" in event:
                return int(event["status"]) & 0xFF
        return fail("the feature store stopped while the command ran. Run it again.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return fail(f"the feature store at {address} does not answer: {error}. `bin/pantheon status` shows its state.")
    except KeyboardInterrupt:
        return 130  # the connection closes, which ends the command
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

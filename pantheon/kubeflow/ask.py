"""Send one request to the service from inside its network, for a command: ``python -m pantheon.kubeflow.ask``.

Standard input is ``{"method", "path", "body", "headers"}`` as JSON, with the body in base64 or null. The event
``answer`` has ``status``, ``headers``, and ``data`` in base64. The method ``WATCH`` has one for each change of an
object, until it has ended; see ``client.Transport``.
"""

import base64
import json
import os
import sys
from pathlib import Path

from pantheon import events
from pantheon.errors import PantheonError
from pantheon.kubeflow.client import Http
from pantheon.web.client import Answer

RETRY_SECONDS = 10.0  # a person waits
WATCH_SECONDS = 60.0  # meanwhile the service may be restarted


def main() -> int:
    events.reserve()
    asked = json.load(sys.stdin)
    watch = asked["method"] == "WATCH"
    retry = WATCH_SECONDS if watch else RETRY_SECONDS
    http = Http(os.environ["KUBEFLOW_URL"], Path(os.environ["KUBEFLOW_KEY_FILE"]), retry)
    body = None if asked["body"] is None else base64.b64decode(asked["body"])
    try:
        if watch:
            http.watch(asked["path"], asked["headers"], show)
        else:
            show(http(asked["method"], asked["path"], body, asked["headers"]))
    except PantheonError as error:
        events.report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    return 0


def show(answer: Answer) -> None:
    data = base64.b64encode(answer.data).decode()
    events.report({"event": "answer", "status": answer.status, "headers": dict(answer.headers), "data": data})


if __name__ == "__main__":
    sys.exit(main())

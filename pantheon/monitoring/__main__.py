"""The monitor's program: ``python -m pantheon.monitoring ask QUESTION --given JSON``, or ``serve``.

Environment: ``STATE_DIR`` the deployment's state folder, ``SECRETS_DIR``, ``MONITOR_DIR`` the monitor's own folder,
``SPOOL_DIR`` the endpoint's spool; for ``serve``: ``MONITOR_HOST``, ``MONITOR_PORT``.
"""

import argparse
import json
import os
import sys
import traceback
from pathlib import Path

from pantheon import events
from pantheon.errors import PantheonError, describe
from pantheon.events import report


def ask(question: str, given: str) -> int:
    """Report the answer as an event; return the exit status."""
    try:
        from pantheon.monitoring.work import Here, answer

        report({"event": "answer", "value": answer(Here.from_environment(), question, json.loads(given))})
        report({"event": "end"})
        return 0
    except PantheonError as error:
        failed = error
    except OSError as error:
        failed = describe(error, Path(os.environ.get("STATE_DIR", "/")))
    except Exception as error:  # noqa: BLE001 - reported in one line; the log has the traceback
        traceback.print_exc()
        cure = "This is a fault of Pantheon. The traceback: `logs --service monitor`"
        failed = PantheonError(f"{type(error).__name__}: {error}.", cure, 1)
    report({"event": "error", "cause": failed.cause, "cure": failed.cure, "status": failed.status})
    return failed.status


def main() -> None:
    parser = argparse.ArgumentParser(prog="pantheon.monitoring", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("ask")
    one.add_argument("question")
    one.add_argument("--given", default="{}")
    verbs.add_parser("serve")
    args = parser.parse_args()
    if args.verb == "serve":
        from pantheon.monitoring.service import main as serve

        sys.exit(serve())
    events.reserve()
    report({"event": "begin"})
    events.finish(ask(args.question, args.given))


if __name__ == "__main__":
    main()

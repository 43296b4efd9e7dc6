"""Run the dashboard: ``python -m pantheon.dashboard``.

Environment: ``STATE_DIR``, ``ORDERS_DIR``; ``KUBEFLOW_URL`` and ``KUBEFLOW_KEY_FILE``, its service; ``DASHBOARD_BIND``,
and what ``pantheon.hub.front`` lists; ``DASHBOARD_LINKS``: ``TITLE=ADDRESS`` of other services, separated by commas.
"""

import os
import sys
from pathlib import Path

from pantheon.dashboard.app import Dashboard, application
from pantheon.dashboard.board import Sources
from pantheon.dashboard.orders import Orders
from pantheon.dashboard.servers import Servers
from pantheon.errors import PantheonError
from pantheon.hub import front
from pantheon.kubeflow.client import Http, Kubeflow
from pantheon.store import open_store
from pantheon.web.granian import leave

RETRY_SECONDS = 5.0  # a person waits


def main() -> int:
    given = os.environ
    try:
        state = Path(given["STATE_DIR"])
        transport = Http(given["KUBEFLOW_URL"], Path(given["KUBEFLOW_KEY_FILE"]), RETRY_SECONDS)
        store, orders = open_store(state, retry_seconds=RETRY_SECONDS), Orders(Path(given["ORDERS_DIR"]))
        servers = Servers(given["HUB_API_URL"], given["HUB_URL"], Path(given["DASHBOARD_TOKEN_FILE"]), state)
        sources = Sources(lambda by: Kubeflow(transport, by), state, store, orders, servers)
        pairs = (each.partition("=") for each in given.get("DASHBOARD_LINKS", "").split(",") if each)
        links = {title: address for title, _, address in pairs}
        login = front.guarded(application(Dashboard(sources, links)), "dashboard", "the dashboard")
    except KeyError as error:
        print(f"dashboard: {error.args[0]} is not set.", file=sys.stderr)
        return 2
    except (PantheonError, OSError) as error:
        print(f"dashboard: {error}", file=sys.stderr)
        return 1
    return front.serve(login, given.get("DASHBOARD_BIND") or "127.0.0.1")


if __name__ == "__main__":
    leave(main())

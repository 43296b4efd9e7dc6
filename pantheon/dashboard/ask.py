"""Place orders and show them, for commands: ``python -m pantheon.dashboard.ask`` where the service ``orders`` runs.

Standard input is ``{"do": "list" | "show" | "place", …}`` as JSON. The event ``answer`` has a ``value``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pantheon import events
from pantheon.dashboard.orders import Orders, read_order, shown
from pantheon.errors import PantheonError


def answer(orders: Orders, asked: dict[str, Any]) -> Any:
    """Return the answer to one command.

    Raises:
        PantheonError: there is no such order, or the order is not valid.
    """
    if asked["do"] == "list":
        return [shown(*each) for each in orders.all(asked["namespace"])]
    if asked["do"] == "show":
        return shown(orders.placed(asked["id"]), orders.record(asked["id"]))
    placed, _ = orders.place(asked["key"], asked["by"], read_order(asked["order"].encode()))
    return shown(placed, orders.record(placed.id))


def main() -> int:
    events.reserve()
    try:
        value = answer(Orders(Path(os.environ["ORDERS_DIR"])), json.load(sys.stdin))
    except PantheonError as error:
        events.report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    events.report({"event": "answer", "value": value})
    return 0


if __name__ == "__main__":
    sys.exit(main())

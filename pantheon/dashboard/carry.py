"""The service ``orders``: carry placed orders out until it is stopped: ``python -m pantheon.dashboard.carry``.

Environment: ``STATE_DIR``, ``ORDERS_DIR``, ``SECRETS_DIR`` with the folder ``orders``, ``WORKFLOW_ENVIRONMENT``,
``DVC_ENVIRONMENT``; ``KUBEFLOW_URL`` and ``KUBEFLOW_KEY_FILE``, Kubeflow's service. It has no port: the dashboard and
commands place orders in the folder, and read there how far they are.
"""

import os
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pantheon import events
from pantheon.dashboard.carrying import Carrier
from pantheon.dashboard.orders import Orders
from pantheon.dashboard.runner import Pipelines
from pantheon.dashboard.sources import Fetcher
from pantheon.errors import PantheonError, describe
from pantheon.kubeflow.client import Http, Kubeflow
from pantheon.state import published, read_store

TICK_SECONDS = 1.0
REST_SECONDS = 5.0  # before an order is tried again that could not go on
THREADS = 4
RETRY_SECONDS = 5.0
ALIVE = ".alive"  # in the folder; its time says when the service last looked


class Service:
    """Carries out what is in the folder, several orders at once."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier, self.stopping = carrier, threading.Event()
        self.pool = ThreadPoolExecutor(THREADS, "order")
        self.busy: set[str] = set()
        self.told: dict[str, str] = {}

    def run(self) -> None:
        """Work until ``stopping`` is set."""
        folder = self.carrier.orders.folder
        folder.mkdir(parents=True, exist_ok=True)
        while not self.stopping.is_set():
            (folder / ALIVE).touch()
            for id in self.carrier.orders.unfinished():
                if id not in self.busy:
                    self.busy.add(id)
                    self.pool.submit(self.work, id)
            self.stopping.wait(TICK_SECONDS)

    def work(self, id: str) -> None:
        """Go on with one order."""
        try:
            self.carrier.carry_out(id)
            self.told.pop(id, None)
        except PantheonError as error:
            self.wait(id, str(error))
        except OSError as error:
            self.wait(id, f"{describe(error)}")
        except Exception:  # noqa: BLE001 - a fault of ours ends this order, and no other one
            traceback.print_exc()
            try:
                self.carrier.fail(id, "an internal error occurred; see the log of the service orders.")
            except (PantheonError, OSError) as error:
                self.wait(id, str(error))
        finally:
            self.busy.discard(id)

    def wait(self, id: str, why: str) -> None:
        """Say once why an order cannot go on now, and wait."""
        if self.told.get(id) != why:
            print(f"orders: {id} waits: {why}", file=sys.stderr, flush=True)
        self.told[id] = why
        self.stopping.wait(REST_SECONDS)


def endpoints(state: Path) -> dict[str, str]:
    """Return the address of the deployment's S3 for people, and what services call it."""
    where = read_store(state)
    return {where.host_endpoint: where.endpoint} if where and where.host_endpoint else {}


def main() -> int:
    given = os.environ
    try:
        state, folder = Path(given["STATE_DIR"]), Path(given["ORDERS_DIR"])
        transport = Http(given["KUBEFLOW_URL"], Path(given["KUBEFLOW_KEY_FILE"]), RETRY_SECONDS)
        fetcher = Fetcher(Path(given["SECRETS_DIR"]) / "orders", folder / ".home", lambda: endpoints(state))
        python = Path(given["WORKFLOW_ENVIRONMENT"]) / "bin" / "python"
    except KeyError as error:
        print(f"orders: {error.args[0]} is not set.", file=sys.stderr)
        return 2
    runner = Pipelines(lambda by: Kubeflow(transport, by), state, python, lambda: published(state).tier)
    service = Service(Carrier(Orders(folder), fetcher, runner))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stopping.set())
    print("orders: carries orders out", file=sys.stderr, flush=True)
    service.run()
    return 0


if __name__ == "__main__":
    events.finish(main())  # threads may still fetch: the next start goes on

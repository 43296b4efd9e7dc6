"""Run the feature store's service: ``python -m pantheon.features``.

Environment: ``STATE_DIR`` the deployment's state folder, ``FEATURES_DIR`` the folder of the parts that Feast reads;
``FEAST_BIND`` the address to listen on, with ``FEAST_PORT`` (Feast's feature server), ``FEAST_UI_PORT`` (its web
interface) and ``FEATURES_PORT`` (the API); ``FEAST_PASSWORD_FILE``, ``FEATURES_KEY_FILE``; where PostgreSQL and Valkey
are: see ``pantheon.features.repository``.
"""

import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pantheon.errors import PantheonError
from pantheon.features import repository
from pantheon.features.here import Here, unavailable

if TYPE_CHECKING:  # it imports Feast
    from pantheon.features.service import Service

AGAIN_SECONDS = 1.0  # between two attempts to open the registry


def say(line: str) -> None:
    print(f"feast: {line}", file=sys.stderr, flush=True)


def ready(here: Here) -> "Service":
    """Return the service, as soon as PostgreSQL answers."""
    from pantheon.features.service import Service

    told = ""
    while True:
        try:
            return Service.open(here)
        except PantheonError:
            raise
        except Exception as error:
            away = unavailable(error)
            if not away:
                raise
            if away != told:
                say(f"waiting for {away}: {' '.join(str(error).split())[:200]}")
            told = away
            time.sleep(AGAIN_SECONDS)


def main() -> int:
    os.environ.setdefault("FEAST_USAGE", "False")
    try:
        here = Here.from_environment()
        shutil.rmtree(here.metrics, ignore_errors=True)
        here.metrics.mkdir(parents=True)
        # otherwise Feast makes a folder below /tmp at its import, which stays there if the process is killed
        os.environ["PROMETHEUS_MULTIPROCESS_DIR"] = str(here.metrics)
        repository.import_quickly()
        from pantheon.features.server import Ports, apps, bind, serve

        secrets = here.state / "secrets"
        ports = Ports(
            os.environ.get("FEAST_BIND") or "127.0.0.1",
            int(os.environ["FEAST_PORT"]),
            int(os.environ["FEAST_UI_PORT"]),
            int(os.environ["FEATURES_PORT"]),
            Path(os.environ.get("FEAST_PASSWORD_FILE") or secrets / "feast_password"),
            Path(os.environ.get("FEATURES_KEY_FILE") or secrets / "features" / "key"),
        )
        sockets = bind(ports)
        service = ready(here)
        threading.Thread(target=service.recover, args=(say,), name="recover", daemon=True).start()
        service.keeper.start()
        from pantheon.features.routes import ROUTES

        made = apps(service, ports, ROUTES)
    except (PantheonError, OSError) as error:
        say(str(error))
        return 1
    say(f"listening on {ports.host}: {ports.features} (Feast), {ports.ui} (its web interface), {ports.api} (API)")
    serve(made, sockets)
    return 0


if __name__ == "__main__":
    sys.exit(main())

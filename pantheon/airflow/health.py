"""Is a service of Airflow healthy? ``python -m pantheon.airflow.health api-server|scheduler|dag-processor``.

``airflow jobs check`` says the same at the cost of five seconds of CPU. The scheduler and the dag-processor write a
heartbeat from their main loop, so one that hangs is seen; heartbeats of a killed predecessor do not count.
"""

import os
import sys
import urllib.request
from contextlib import closing

from pantheon.airflow.start import JOBS, connect, started

SILENT = 30.0  # seconds without a heartbeat; one is due every 5


def heartbeat(service: str) -> str:
    """Why the service is not healthy; empty where it is."""
    begin = started(service).stat().st_mtime
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM now() - latest_heartbeat) FROM job WHERE job_type = %s AND state = 'running'"
            " AND start_date >= to_timestamp(%s) ORDER BY latest_heartbeat DESC LIMIT 1",
            (JOBS[service], begin),
        )
        row = cursor.fetchone()
    if not row:
        return "it has not begun its work"
    return f"no heartbeat for {row[0]:.0f} seconds" if row[0] > SILENT else ""


def answer() -> str:
    """Why the api-server is not healthy; empty where it is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['AIRFLOW__API__PORT']}/execution/health", timeout=8):
        return ""


if __name__ == "__main__":
    try:
        problem = answer() if sys.argv[1] == "api-server" else heartbeat(sys.argv[1])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not healthy, and one line says why
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    sys.exit(problem or 0)

"""Check the health of an Airflow service: ``python -m pantheon.airflow.health api-server|scheduler|dag-processor``.

``airflow jobs check`` gives the same answer but uses five seconds of CPU. The scheduler and the dag-processor write a
heartbeat from their main loop, so a hanging process is detected; heartbeats of a killed predecessor do not count.
"""

import os
import sys
from contextlib import closing

from pantheon.airflow.start import JOBS, connect, started
from pantheon.web.health import ask

MAX_HEARTBEAT_AGE = 30.0  # seconds; a heartbeat is due every 5


def heartbeat(service: str) -> str:
    """Return why the service is not healthy; empty if it is healthy."""
    begin = started(service).stat().st_mtime
    with closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM now() - latest_heartbeat) FROM job WHERE job_type = %s AND state = 'running'"
            " AND start_date >= to_timestamp(%s) ORDER BY latest_heartbeat DESC LIMIT 1",
            (JOBS[service], begin),
        )
        row = cursor.fetchone()
    if not row:
        return "its main loop has not started"
    return f"no heartbeat for {row[0]:.0f} seconds" if row[0] > MAX_HEARTBEAT_AGE else ""


if __name__ == "__main__":
    try:
        problem = ""
        if sys.argv[1] == "api-server":
            ask(int(os.environ["AIRFLOW__API__PORT"]), "/execution/health", timeout=4)
        else:
            problem = heartbeat(sys.argv[1])
    except Exception as error:  # noqa: BLE001 - any error means unhealthy; report it in one line
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    sys.exit(problem or 0)

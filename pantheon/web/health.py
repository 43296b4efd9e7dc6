"""Check a service's health: ``python -S -m pantheon.web.health BUTTON_PORT /healthz`` exits with 0 for status 200.

For health checks of containers. Standard library only, because it is started every few seconds.
"""

import http.client
import os
import sys


def ask(port: int, path: str, timeout: float = 2.0) -> str:
    """Return the answer of a service on this machine, or of the one whose port ``HEALTH_HOST`` keeps open.

    Raises:
        OSError: no answer, or a status other than 200.
    """
    connection = http.client.HTTPConnection(os.environ.get("HEALTH_HOST", "127.0.0.1"), port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status != 200:
            raise OSError(f"status {answer.status}: {text.strip()[:200]}")
        return text
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from None
    finally:
        connection.close()


def main(variable: str, path: str) -> int:
    """Query the port in an environment variable; print the answer, or the error on standard error."""
    try:
        print(ask(int(os.environ[variable]), path))
        return 0
    except OSError as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

"""Does a service answer? ``python -S -m pantheon.health BUTTON_PORT /healthz``: exit status 0 where it says 200.

For health checks of containers: the standard library only, since it is started every few seconds.
"""

import http.client
import os
import sys


def main(variable: str, path: str) -> int:
    """Ask the port that an environment variable names; prints the answer, or on standard error why there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ[variable]), timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        print(answer.read().decode())
        return 0 if answer.status == 200 else 1
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

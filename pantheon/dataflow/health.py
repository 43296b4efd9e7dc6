"""``python -S -m pantheon.dataflow.health``: exit status 0 when the service answers. The standard library only."""

import http.client
import os
import sys


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("DATAFLOW_PORT", "8070")), timeout=2)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        print(answer.read().decode())
        return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"the dataflow does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

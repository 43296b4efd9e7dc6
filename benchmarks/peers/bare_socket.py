"""``python bare_socket.py BUNDLE PORT``: the upper limit for one client: the same prediction behind a blocking socket.

No threads, no event loop, and no HTTP beyond what the load generator needs. The rest of a request's time is the
prediction itself, and the kernel waking this process and the client up.
"""

import contextlib
import socket
import sys

import msgspec
from answering import Robots

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def serve(connection: socket.socket, robots: Robots) -> None:
    """Answer requests until the client closes the connection."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]) if end else 0
        if end and len(body) >= length:
            rows = msgspec.json.decode(body[:length])["payload"]
            answer = msgspec.json.encode({"prediction": robots.rows(rows).tolist()})
            connection.sendall(ANSWER % (len(answer), answer))
            data = body[length:]
        elif received := connection.recv(1 << 18):
            data += received
        else:
            return


if __name__ == "__main__":
    robots = Robots(sys.argv[1])
    with socket.create_server(("127.0.0.1", int(sys.argv[2]))) as listening:
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, contextlib.suppress(ConnectionError):  # the load generator ends by closing
                serve(connection, robots)

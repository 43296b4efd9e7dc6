"""What a command sends to a task in a pod, over the task's standard input: frames of a kind and a length.

The stream stays open while the command runs. So its end says that the command has ended, which the end of the task's
own input does not say.
"""

import struct

REQUEST, INPUT, END, SIGNAL, BEAT = b"r", b"i", b"e", b"s", b"b"
HEAD = struct.Struct(">cI")
BEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # after which the command counts as dead: its machine may have lost the network
BUSY = 75  # exit status of a pod that already runs another task
MARK = "pantheon-task"  # begins the last line of standard error: MARK NONCE STATUS


def frame(kind: bytes, content: bytes = b"") -> bytes:
    return HEAD.pack(kind, len(content)) + content


class Frames:
    """Splits a stream into frames."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, part: bytes) -> list[tuple[bytes, bytes]]:
        """Return the frames that ``part`` completes, as ``(kind, content)``."""
        self.rest += part
        found = []
        while len(self.rest) >= HEAD.size:
            kind, size = HEAD.unpack_from(self.rest)
            if len(self.rest) < HEAD.size + size:
                break
            found.append((kind, self.rest[HEAD.size : HEAD.size + size]))
            self.rest = self.rest[HEAD.size + size :]
        return found

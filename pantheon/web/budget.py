"""A byte budget shared by threads."""

import threading


class Budget:
    """Limits the reserved bytes to ``most``; a larger reservation is only allowed alone."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Reserve ``size`` bytes. Return whether they were available."""
        with self._lock:
            if self.held and self.held + size > self.most:
                return False
            self.held += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self.held -= size

"""What services are made of besides their definitions: a hash of it is part of each service, so a change restarts it.

As for images: a service with one of our images runs our code, with the environments and folders that the image
declares. Other services run programs of their environment, with scripts and settings of the repository.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

CODE = ("pantheon", "serving")  # folders of the repository that every image contains
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


class Sources:
    """The files of the repository ``root``; each is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashes: dict[str, str] = {}

    def of_image(self, environments: Iterable[str], folders: Iterable[str]) -> str:
        """Return a hash of our code, of the locks of ``environments`` and of ``folders`` of the repository."""
        return self._combined([*CODE, *folders, *map(_lock, environments)])

    def of_program(self, environment: str, words: Iterable[str]) -> str:
        """Return a hash of the lock of ``environment`` and of those ``words`` that are files of the repository.

        Files of a deployment in the clone, such as a secret, are not part of a release: `up` makes them later.
        """
        ours, data = f"{self.root}/", f"{self.root}/.pantheon/"
        paths = [Path(word) for word in words if word.startswith(ours) and not word.startswith(data)]
        return self._combined([_lock(environment), *(str(p.relative_to(self.root)) for p in paths if p.is_file())])

    def _combined(self, names: Iterable[str]) -> str:
        return hashlib.sha256("\n".join(f"{n} {self._hash(n)}" for n in sorted(set(names))).encode()).hexdigest()

    def _hash(self, name: str) -> str:
        """Return a hash of a file or of all files in a folder; that of nothing if it does not exist."""
        if name not in self._hashes:
            digest, top = hashlib.sha256(), self.root / name
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if not LEFT_OUT & set(path.parts) and path.is_file():
                    content = path.read_bytes()
                    digest.update(f"{path.relative_to(self.root)}\0{len(content)}\0".encode() + content)
            self._hashes[name] = digest.hexdigest()
        return self._hashes[name]


def _lock(environment: str) -> str:
    return f"requirements/{environment}.txt"

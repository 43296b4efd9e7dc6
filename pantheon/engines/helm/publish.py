"""Bring the files that this machine writes for services into the volume, where services only read them."""

import hashlib
import io
import tarfile
from pathlib import Path

from pantheon.state import services_file

FOLDERS = ("state", "extensions", "people")
LARGEST = 16 << 20  # bytes of all files


def archive(state: Path) -> tuple[bytes, str]:
    """Return a tar archive of the files, and a hash that changes if a file does.

    The hash leaves out the services' states, which every `status` writes.
    """
    out, digest = io.BytesIO(), hashlib.sha256()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in FOLDERS:
            top = state / name
            for path in [top, *sorted(top.rglob("*"))]:
                if not path.exists() or path.is_symlink() or (path != top and _is_ours(path.relative_to(top))):
                    continue
                entry = tarfile.TarInfo(str(path.relative_to(state)))
                if path.is_dir():
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
                elif path.is_file():
                    content = path.read_bytes()
                    entry.size, entry.mode = len(content), 0o644
                    tar.addfile(entry, io.BytesIO(content))
                    if path != services_file(state):
                        digest.update(f"{entry.name}\0{len(content)}\0".encode() + content)
    return out.getvalue(), digest.hexdigest()


def _is_ours(path: Path) -> bool:
    """Whether a file is for this machine only: locks, parts of files, compiled code."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts) or path.suffix == ".lock"

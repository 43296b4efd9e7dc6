"""Files that are there after a power cut: written, synced, then renamed into place."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pantheon.store.records import check_file, sha256


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder, before we say that it is there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write so that readers see the old file or the whole new one, even after a power cut.

    One writer at a time: aliases and the last number under the lock, manifests under the claim.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    sync(part)
    part.replace(path)
    sync(path.parent)


def fill(target: Path, folder: Path, files: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Copy ``files`` into a version's folder and have the disk keep them; their checksums as written."""
    manifest: dict[str, dict[str, Any]] = {}
    for file in files:
        copy = target / check_file(file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, copy)
        sync(copy)
        manifest[file] = {"sha256": sha256(copy), "size": copy.stat().st_size}
    for inner in sorted({copy for copy in target.rglob("*") if copy.is_dir()}):
        sync(inner)
    return manifest

"""Pantheon: nine ML-platform architectures, one ML workflow."""

import os
import sys

__version__ = "0.2.0"

_disk = os.statvfs(sys.prefix)
if _disk.f_bavail * _disk.f_frsize < 50_000_000:
    # Python up to 3.12 leaves a truncated .pyc file if the disk fills while it writes one (CPython issue 126606),
    # and every later import of that module fails.
    sys.dont_write_bytecode = True

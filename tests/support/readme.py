"""The commands that a page of the documentation shows."""

import re
from pathlib import Path


def commands(page: Path, kind: str = "sh") -> list[str]:
    """The lines of a page's ``sh`` blocks; those marked ``sh docker`` are run by tests/system/compose."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]

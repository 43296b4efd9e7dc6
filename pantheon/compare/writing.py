"""Write a report in three forms."""

from pathlib import Path

from pantheon import files
from pantheon.compare import markdown, page
from pantheon.compare.report import Report


def write(report: Report, before: Report | None, stem: Path) -> list[Path]:
    """Write ``STEM.json``, ``STEM.md`` and ``STEM.html``; return their paths.

    Args:
        before: another report, whose differences are shown in the last two.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("json", "md", "html")]
    files.write_json(paths[0], report)
    files.write_text(paths[1], markdown.render(report, before))
    files.write_text(paths[2], page.render(report, before))
    return paths

"""Charts as inline SVG: horizontal bars, one row for each cell.

Widths are percentages, so that text keeps its size on a narrow page. Colours are classes of ``page.css``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LABEL, LONGEST = 24.0, 56.0  # percent of the width: the labels' column, and the longest bar
BAR, GAP, ROW_GAP, TOP = 13, 3, 9, 4  # pixels


@dataclass(frozen=True)
class Row:
    """One row of a chart: its label, and for each series the value (None: not measured) and its text."""

    label: str
    values: Sequence[tuple[float | None, str]]


def bars(title: str, rows: Sequence[Row], series: Sequence[str] = ()) -> str:
    """Return a figure with one bar for each row and series; a legend names the series if there are several."""
    most = max((value for row in rows for value, _ in row.values if value is not None), default=0.0) or 1.0
    parts, y = [], TOP
    for row in rows:
        middle = y + (len(row.values) * (BAR + GAP) - GAP) / 2
        parts.append(f'<text class="label" x="0" y="{middle + 4:.1f}">{escape(row.label)}</text>')
        for index, (value, text) in enumerate(row.values):
            width = 0.0 if value is None else value / most * LONGEST
            named = f"{series[index]}: {text}" if series else text
            parts.append(
                f'<rect class="series-{index}" x="{LABEL}%" y="{y}" width="{width:.2f}%" height="{BAR}" rx="2">'
                f"<title>{escape(f'{row.label}, {named}')}</title></rect>"
                f'<text class="value" x="{LABEL + width:.2f}%" dx="5" y="{y + BAR - 2.5:.1f}">{escape(text)}</text>'
            )
            y += BAR + GAP
        y += ROW_GAP
    described = "; ".join(f"{row.label}: {', '.join(text for _, text in row.values)}" for row in rows)
    svg = (
        f'<svg width="100%" height="{y}" role="img" aria-label="{escape(f"{title}. {described}", quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
    return f"<figure><figcaption>{escape(title)}{legend(series)}</figcaption>{svg}</figure>"


def legend(series: Sequence[str]) -> str:
    """Return the colours of several series with their names."""
    if len(series) < 2:
        return ""
    keys = "".join(f'<span><i class="series-{index}"></i>{escape(name)}</span>' for index, name in enumerate(series))
    return f'<span class="legend">{keys}</span>'

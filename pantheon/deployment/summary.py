"""Format the summary of a stage as a short note."""

from typing import Any


def summary_note(summary: dict[str, Any]) -> str:
    """Return a stage's summary as a short note: ``rows 5,000 · columns 7``."""
    notes = []
    for key, value in list(summary.items())[:4]:
        if isinstance(value, bool | str | int):
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        elif isinstance(value, float):
            shown = f"{value:.4g}"
        else:
            continue
        if len(shown) > 40:  # a sentence; it is shown elsewhere
            continue
        notes.append(f"{key.replace('_', ' ')} {shown}")
    return " · ".join(notes)

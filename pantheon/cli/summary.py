"""What a stage reports of itself, as a short note."""

from typing import Any


def summary_words(summary: dict[str, Any]) -> str:
    """A stage's summary as a short note: ``rows 5,000 · columns 7``."""
    words = []
    for key, value in list(summary.items())[:4]:
        if isinstance(value, bool | str | int):
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        elif isinstance(value, float):
            shown = f"{value:.4g}"
        else:
            continue
        if len(shown) > 40:  # a sentence; it is said in full elsewhere
            continue
        words.append(f"{key.replace('_', ' ')} {shown}")
    return " · ".join(words)

"""How the dashboard writes what it shows."""

import pytest

from pantheon.dashboard.words import heading


@pytest.mark.parametrize(
    ("column", "text"), [("URL", "URL"), ("LATESTREADYREVISION", "Latest ready revision"), ("TRIALS", "Trials")]
)
def test_columns_of_kubectl_become_headings_with_spaces(column: str, text: str) -> None:
    assert heading(column) == text

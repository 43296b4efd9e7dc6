"""Durations in Compose's form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.durations import seconds, words
from pantheon.errors import PantheonError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1m30s", 90),
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("1h0m0s", 3600),
        ("0s", 0),
        ("0", 0),
        ("250us", 0.00025),
        ("5µs", 5e-6),
    ],
)
def test_the_forms_compose_prints(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), millis=st.integers(0, 59999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, millis: int) -> None:
    assert seconds(f"{hours}h{minutes}m{millis}ms") == pytest.approx(hours * 3600 + minutes * 60 + millis / 1000)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_clear_refusal(text: str) -> None:
    try:
        assert seconds(text) >= 0
    except PantheonError as error:
        assert repr(text) in error.cause


@pytest.mark.parametrize("text", ["", "5", "-1s", "1s 2s", "s", "1x", "1s-", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(PantheonError, match="is not a valid duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.44, "0.4 s"),
        (4, "4 s"),
        (9.97, "10 s"),
        (90, "90 s"),
        (180, "3 min"),
        (185, "3 min 5 s"),
        (1500, "25 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_is_printed_for_people(value: float, text: str) -> None:
    assert words(value) == text

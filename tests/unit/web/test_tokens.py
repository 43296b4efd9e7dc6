"""Signed tokens: what they are for, how long they last, and that nothing else is one."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.web.tokens import CHARACTERS, check, sign


def test_a_token_says_when_it_expires_and_has_an_id_of_its_own() -> None:
    one, two = (check("secret", "session", sign("secret", "session", 60)) for _ in range(2))
    assert one and two
    assert one.id != two.id
    assert len(one.id) == 16
    assert time.time() + 55 < one.expires <= time.time() + 60


def test_a_token_fits_an_address_without_quoting() -> None:
    token = sign("secret", "link", 60)
    assert len(token) == CHARACTERS
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_token_is_for_one_purpose_one_secret_and_some_time() -> None:
    token = sign("secret", "link", 60)
    assert check("secret", "link", token)
    assert check("secret", "session", token) is None
    assert check("other", "link", token) is None
    assert check("secret", "link", sign("secret", "link", -1)) is None


def test_a_later_end_or_another_id_needs_another_signature() -> None:
    raw = base64.urlsafe_b64decode(sign("secret", "session", 60))
    for index in range(len(raw)):
        forged = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        assert check("secret", "session", base64.urlsafe_b64encode(forged).decode()) is None, index


@given(st.text(max_size=40) | st.text(alphabet="Aa0-_=+/", min_size=CHARACTERS, max_size=CHARACTERS))
def test_any_other_text_is_not_a_token(text: str) -> None:
    assert check("secret", "session", text) is None


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        sign("", "link", 60)
    assert check("", "link", sign("x", "link", 60)) is None

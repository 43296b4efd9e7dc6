"""What Feast stores in Valkey, byte by byte: values and times come back, and anything else is a sentence."""

import math
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.features.stored import Unreadable, field_of, key_of, time_field_of, time_of, value_of
from tests.support.feast_bytes import entity, message, timestamp, varint

LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999)
MOMENTS = st.datetimes(datetime(1, 1, 1), LATEST).map(lambda moment: moment.replace(tzinfo=UTC))


def test_the_names_are_those_that_feast_gives() -> None:
    """Made by Feast 0.67 itself."""
    known = "010000000200000008000000726f626f745f696402000000010000003770616e7468656f6e"
    assert key_of("pantheon", "robot_id", "7").hex() == known
    assert key_of("pantheon", "robot_id", "Δ") == entity("Δ")
    assert (field_of("robots", "battery").hex(), time_field_of("robots")) == ("73fa5f23", b"_ts:robots")


@given(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none()))
def test_values_come_back(value: str | int | None) -> None:
    found = value_of(message(value))
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_infinity=False))
def test_numbers_come_back_and_nan_is_a_null(value: float) -> None:
    assert value_of(message(value)) == (None if math.isnan(value) else value)
    assert value_of(b"\x35" + struct.pack("<f", 1.5)) == 1.5


@given(MOMENTS)
def test_times_come_back_to_the_microsecond(moment: datetime) -> None:
    assert time_of(timestamp(moment)) == moment


@given(MOMENTS)
def test_dates_come_back_to_the_second(moment: datetime) -> None:
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    expected = moment.replace(microsecond=0, tzinfo=None).isoformat()
    assert value_of(b"\x40" + varint(seconds)) == expected


def test_what_feast_writes_for_a_null_is_one() -> None:
    assert value_of(None) is None
    assert value_of(b"") is None
    assert value_of(b"\x98\x01\x00") is None, "null_val"
    assert value_of(b"\x40" + varint(-(2**63))) is None, "NaT"
    assert value_of(b"\x20\x05" + b"\x12\x01x") == "x", "of a oneof, the last counts"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x12\x05abc", "ends early"),
        (b"\x12\x02\xff\xff", "not UTF-8"),
        (b"\x29\x00", "ends early"),
        (b"\x20", "ends early"),
        (b"\x20" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (b"\x5a\x02\x0a\x00", "the field 11, which is not"),
        (b"\x22\x01x", "the field 4, which is not"),
        (b"\x0b", "the wire type 3"),
        (b"\x29" + struct.pack("<d", math.inf), "infinite"),
        (b"\x40" + varint(2**62), "years"),
    ],
)
def test_anything_else_is_not_read(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        value_of(data)


@given(st.binary(max_size=40))
def test_random_bytes_are_a_value_or_a_sentence(data: bytes) -> None:
    for read in (value_of, time_of):
        try:
            found = read(data)
        except Unreadable as error:
            assert str(error)
        else:
            assert found is None or isinstance(found, (str, int, float, datetime))

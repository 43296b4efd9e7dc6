"""Whatever happens to a segment's bytes, every frame that it does not touch is read, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from pantheon.predictions import frames
from pantheon.predictions.frames import Damage, Entry, read, scan
from pantheon.predictions.records import Answered, Feedback

texts = st.text(max_size=20)
numbers = st.integers(0, 9999)
answers = st.builds(
    Answered,
    texts,
    st.integers(0, 1 << 60),
    texts,
    texts,
    texts,
    texts,
    texts,
    st.floats(0, 1e6),
    st.integers(100, 599),
)
json_texts = st.text(max_size=200).map(str.encode)
entries = st.builds(Entry, answers, json_texts, json_texts)
values = st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | texts
feedback = st.builds(
    Feedback,
    texts,
    st.integers(0, 9999),
    st.integers(0, 1 << 60),
    st.none() | st.booleans(),
    values,
    texts,
    texts,
    texts,
)
contents = st.lists(entries | feedback, max_size=8)


def frame(entry: Entry | Feedback) -> bytes:
    if isinstance(entry, Feedback):
        return frames.of_feedback(entry)
    return frames.of_answer(entry.record, entry.rows, entry.answer)


@given(contents)
def test_what_is_written_is_read(content: list[Entry | Feedback]) -> None:
    assert list(scan(b"".join(map(frame, content)))) == content


@given(contents, st.data())
def test_a_torn_tail_is_left_out(content: list[Entry | Feedback], data: st.DataObject) -> None:
    pieces = [frame(each) for each in content]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    complete = 0
    while complete < len(pieces) and sum(map(len, pieces[: complete + 1])) <= cut:
        complete += 1
    rest = cut - sum(map(len, pieces[:complete]))
    expected = content[:complete] + ([Damage(cut - rest, rest, last=True)] if rest else [])
    assert list(scan(whole[:cut])) == expected


@given(contents, st.binary(min_size=1, max_size=50), st.data())
def test_damage_loses_only_the_frames_that_it_touches(
    content: list[Entry | Feedback], noise: bytes, data: st.DataObject
) -> None:
    pieces = [frame(each) for each in content]
    whole = bytearray(b"".join(pieces))
    place = data.draw(st.integers(0, len(whole)))
    whole[place : place + len(noise)] = noise
    expected, begin = [], 0
    for entry, piece in zip(content, pieces, strict=True):
        if bytes(whole[begin : begin + len(piece)]) == piece:
            expected.append(entry)
        begin += len(piece)
    assert list(read(bytes(whole))) == expected


@given(st.text())
def test_no_text_contains_the_mark_of_a_frame(text: str) -> None:
    """So rows cannot contain what is read as a frame behind damage: JSON is UTF-8."""
    assert frames.MARK[:1] not in text.encode()

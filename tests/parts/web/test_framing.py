"""Requests whose end is not clear, byte by byte: what is answered, and whether what follows is taken for a request."""

from collections.abc import Iterator

import pytest

from tests.parts.web.test_server import raw, serving

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"
NEXT = b"GET /drop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"  # answered with 403

JSON, EMPTY = True, False  # the body of an error is ours, or hyper answered

REJECTED: dict[bytes, tuple[int, bool]] = {
    # lengths
    HEAD + LENGTH + b"Content-Length: 3\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: 2, 2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: 2 3\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length : 2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length\t: 2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length:\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: -2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: +2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: 0x2\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: two\r\n\r\nhi": (400, EMPTY),
    HEAD + b"Content-Length: 99999999999999999999\r\n\r\nhi": (400, EMPTY),
    # transfer encodings
    HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding:\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS: (501, JSON),
    HEAD + CHUNKED + CHUNKED + b"\r\n" + CHUNKS: (501, JSON),
    b"POST / HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n" + CHUNKS: (400, EMPTY),
    HEAD + b"Transfer-Encoding: \xe9\r\n" + CHUNKED + b"\r\n" + CHUNKS: (501, JSON),
    HEAD + CHUNKED + b"Transfer-Encoding: \xe9\r\n\r\n" + CHUNKS: (400, EMPTY),
    # chunks
    HEAD + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n2\r\n{}XX0\r\n\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n-2\r\n{}\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n0x2\r\nhi\r\n0\r\n\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n2\nhi\n0\n\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n2;a\nb\r\nhi\r\n0\r\n\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\nfffffffffffffffff2\r\nhi\r\n0\r\n\r\n": (400, JSON),
    HEAD + CHUNKED + b"\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n": (400, JSON),  # trailers
    # hosts and addresses
    HEAD + b"Host: x\r\n" + LENGTH + b"\r\nhi": (400, JSON),
    HEAD + b"Host: y\r\n" + LENGTH + b"\r\nhi": (400, JSON),
    b"POST / HTTP/1.1\r\nHost: x\xe9\r\nHost: x\r\n" + LENGTH + b"\r\nhi": (400, JSON),
    b"POST / HTTP/1.1\r\n" + LENGTH + b"\r\nhi": (400, JSON),
    b"POST http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\nhi": (400, JSON),
    b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n": (400, JSON),
    # values and names
    HEAD + b"X: a\x00b\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X: a\x7fb\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X: a\rb\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X: a\r" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X: a\r\n folded\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X: a\r\n\tfolded\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    b"POST / HTTP/1.1\r\n Host: x\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b": a\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X Y: a\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"X\x00: a\r\n" + LENGTH + b"\r\nhi": (400, EMPTY),
    HEAD + b"".join(b"X%d: a\r\n" % i for i in range(200)) + LENGTH + b"\r\nhi": (431, EMPTY),
    # request lines
    b"nonsense\r\n\r\n": (400, EMPTY),
    b"GET /\r\n\r\n": (400, EMPTY),
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n": (400, EMPTY),
    b"GET / http/1.1\r\nHost: x\r\n\r\n": (400, EMPTY),
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n": (400, EMPTY),
    b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n": (400, EMPTY),
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n": (400, EMPTY),
    b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n": (400, EMPTY),
}

# hyper changes these before we see them; each has one meaning, and what follows is a request of its own
ACCEPTED = [
    HEAD + LENGTH + LENGTH + b"\r\nhi",
    HEAD + b"Content-Length: 02\r\n\r\nhi",
    HEAD + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS,
    HEAD + CHUNKED + b"\r\n2;a=b\r\nhi\r\n0\r\n\r\n",
    HEAD + b"X: a\n" + LENGTH + b"\r\nhi",  # LF alone ends the header
    (HEAD + LENGTH).replace(b"\r\n", b"\n") + b"\nhi",
    HEAD + LENGTH + b"\nhi",
    HEAD + b"X: a\xe9b\r\n" + LENGTH + b"\r\nhi",
    HEAD + b"Host: x\xe9\r\n" + LENGTH + b"\r\nhi",  # Granian drops it
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as (_, port):
        yield port


def named(data: bytes) -> str:
    return ascii(data.decode("latin-1"))[1:90]


@pytest.mark.parametrize("data", REJECTED, ids=named)
def test_it_is_rejected_and_the_connection_is_closed(port: int, data: bytes) -> None:
    status, json = REJECTED[data]
    said = raw(port, data + NEXT)  # returns when the server closes
    assert said.count(b"HTTP/1.") == 1, said  # what follows is not taken for a request
    assert int(said.split()[1]) == status, said
    assert said.partition(b"\r\n\r\n")[2].startswith(b'{"error"') == json, said


@pytest.mark.parametrize("data", ACCEPTED, ids=named)
def test_it_has_one_meaning(port: int, data: bytes) -> None:
    said = raw(port, data + NEXT)
    assert said.startswith(b"HTTP/1.1 200 "), said
    first, _, second = said.partition(b"HTTP/1.1 403 ")
    assert first.endswith(b"\r\n\r\nhi"), said
    assert second, said


@pytest.mark.parametrize("both", [CHUNKED + LENGTH, LENGTH + CHUNKED])
def test_with_a_length_and_chunks_the_chunks_decide_and_the_connection_is_closed(port: int, both: bytes) -> None:
    said = raw(port, HEAD + both + b"\r\n" + CHUNKS + NEXT)
    assert said.count(b"HTTP/1.") == 1, said
    assert said.endswith(b"\r\n\r\nhi")
    assert b"connection: close" in said


def test_http_2_is_off(port: int) -> None:
    assert raw(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT) == b""

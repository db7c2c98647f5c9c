"""Our grammar beside h11's: whatever both take, both take for the same request; and the time it takes grows with the length only."""

import time
import timeit
from contextlib import suppress

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesync.api import head
from devicesync.api.answers import RequestError
from devicesync.api.chunks import Chunks

NAMES = st.sampled_from(
    [b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"X", b"X_y", b"X ", b""]
)
VALUES = st.sampled_from([b"x", b"", b"5", b"05", b"5, 5", b"-1", b"chunked", b"Chunked", b"identity, chunked", b"close", b"a\tb", b"\x80", b"\0", b"a\rb"])  # fmt: skip
LINES = st.lists(
    st.builds(lambda name, space, value: name + b":" + space + value, NAMES, st.sampled_from([b"", b" ", b"\t"]), VALUES),
    max_size=5,
)
FIRST = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"POST /a HTTP/1.0", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"G\0T / HTTP/1.1"]
)


@settings(max_examples=500)
@given(FIRST, LINES)
def test_what_we_read_in_a_head_h11_reads_too(first: bytes, lines: list[bytes]) -> None:
    """We may refuse what it takes; what both take, both take for the same request with a body of the same length."""
    raw = b"\r\n".join([first, *lines, b""])
    try:
        ours = head.read(raw)
    except RequestError:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(raw + b"\r\n")
    theirs = other.next_event()
    assert isinstance(theirs, h11.Request)
    assert (theirs.method.decode(), theirs.target) == (ours.method, ours.target)
    assert [(name, value) for name, value in theirs.headers if name != b"transfer-encoding"] == [
        (name, value) for name, value in ours.headers if name != b"transfer-encoding"
    ]
    if ours.length == 0:
        assert isinstance(other.next_event(), h11.EndOfMessage)
    else:
        assert other.next_event() is h11.NEED_DATA


@pytest.mark.parametrize(
    ("values", "keeps"),
    [
        ([], True),
        ([b"keep-alive"], True),
        ([b"keep-alive", b"Upgrade"], True),
        ([b"close"], False),
        ([b"close", b"keep-alive"], False),
        ([b"keep-alive", b"close"], False),
        ([b"keep-alive, Close"], False),
        ([b"close , keep-alive", b"TE"], False),
        ([b"TE", b"keep-alive,close", b""], False),
        ([b"close", b"x", b"keep-alive"], False),
    ],
)
def test_close_ends_the_connection_wherever_it_stands(values: list[bytes], *, keeps: bool) -> None:
    """In each header, and in each place of its list (RFC 9112 section 9.6); h11 says the same."""
    raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"Connection: " + value + b"\r\n" for value in values)
    assert head.read(raw).keep_alive is keeps
    other = h11.Connection(h11.SERVER)
    other.receive_data(raw + b"\r\n")
    other.next_event(), other.next_event()
    assert (other.their_state is h11.DONE) is keeps


PIECES = st.lists(
    st.sampled_from([b"1\r\n", b"a\r\n", b"2;x=y\r\n", b"0\r\n", b"\r\n", b"ab", b"a", b"X: y\r\n", b"\n", b"\r", b"0x1\r\n"]),
    max_size=12,
).map(b"".join)


@settings(max_examples=500)
@given(PIECES, st.lists(st.integers(1, 9), max_size=20))
def test_what_we_read_in_chunks_h11_reads_too(sent: bytes, cuts: list[int]) -> None:
    """Cut anywhere into packets: what we take for a whole body, h11 takes for the same one, and leaves the same rest."""
    chunks, unread, body, at = Chunks(1000), bytearray(), bytearray(), 0
    try:
        for size in [*cuts, len(sent)]:
            unread += sent[at : at + size]
            at += size
            chunks.take(unread, body)
    except RequestError:
        return
    if not chunks.whole:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + sent)
    theirs = b""
    while not isinstance(event := other.next_event(), h11.EndOfMessage):
        theirs += bytes(event.data) if isinstance(event, h11.Data) else b""
    assert (bytes(body), bytes(unread)) == (theirs, other.trailing_data[0])


ODD = {
    "a name": lambda size: b"x" * size,
    "colons": lambda size: b"x:" * (size // 2),
    "spaces": lambda size: b"X: " + b" " * size + b"\0",
    "a value": lambda size: b"X: " + b"y" * size + b"\0",
    "CRs": lambda size: b"X: " + b"\r" * size,
}


@pytest.mark.parametrize("odd", ODD)
def test_the_time_to_read_a_line_grows_with_its_length_only(odd: str) -> None:
    """Eight times the bytes take about eight times as long; 64 times where an expression tries all ways."""

    def seconds(size: int) -> float:
        raw = b"GET / HTTP/1.1\r\nHost: x\r\n" + ODD[odd](size) + b"\r\n"
        return min(timeit.repeat(lambda: _tried(raw), number=3, repeat=7, timer=time.process_time))

    assert seconds(160_000) < 30 * max(seconds(20_000), 0.0001)


def _tried(raw: bytes) -> None:
    with suppress(RequestError):
        head.read(raw)

"""HTTP/1.1 as RFC 9112 has it: what is served, what is refused, and that no two readers can differ about where a request ends."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devicesync.api.chunks import Chunks
from tests.api.attacked import BODY, REGISTER, chunked, post, rest_of
from tests.api.conftest import Start, Started

PROFILE = b"/v1/device/profile/d"
CHUNKED_BODY = b"4;a=b\r\n" + BODY[:4] + b"\r\n" + b"0A\r\n" + BODY[4:] + b"\r\n0\r\nX-Trailer: y\r\n\r\n"
CLOSE = b"Connection: close"


@contextmanager
def connected(started: Started, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    where = (started.client.base_url.host, started.client.base_url.port or 0)
    with socket.create_connection(where, timeout=10, source_address=(source, 0)) as opened:
        yield opened


def asked(started: Started, request: bytes) -> bytes:
    """All that is answered until the connection ends."""
    with connected(started) as opened:
        opened.sendall(request)
        return rest_of(opened)


SERVED = {
    "the JDK's client": post(BODY, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
    "a web socket": post(BODY, b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x"),
    "chunks": chunked() + CHUNKED_BODY,
    "chunks in capitals": chunked().replace(b"chunked", b"Chunked") + CHUNKED_BODY,
    "an empty line before": b"\r\n" + post(BODY),
    "a whole URL": post(BODY).replace(b" /v1", b" http://x:80/v1"),
    "HTTP/1.0": post(BODY).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x\r\n", b""),
    "zeros before the length": post(BODY).replace(b"Content-Length: ", b"Content-Length: 000"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_what_clients_send_is_served(start: Start, name: str) -> None:
    """As plain HTTP/1.1, body and all; so is the next request on the connection, except after HTTP/1.0."""
    started = start()
    answers = asked(started, SERVED[name] + post(BODY, CLOSE))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == (1 if name == "HTTP/1.0" else 2), answers
    assert len(started.lines()) == answers.count(b"HTTP/1.1 200 OK")


def changed(old: bytes, new: bytes) -> bytes:
    assert old in post(BODY)
    return post(BODY).replace(old, new)


LENGTH = b"Content-Length: 14\r\n"
REFUSED = {
    "no host": (400, changed(b"Host: x\r\n", b"")),
    "two hosts": (400, changed(b"Host: x\r\n", b"Host: x\r\nHost: x\r\n")),
    "two lengths": (400, changed(LENGTH, LENGTH * 2)),
    "two lengths in one": (400, changed(b": 14", b": 14, 14")),
    "a length with a sign": (400, changed(b": 14", b": +14")),
    "a negative length": (400, changed(b": 14", b": -14")),
    "a length in other digits": (400, changed(b": 14", ": ٣".encode())),
    "an empty length": (400, changed(b": 14", b":")),
    "a length of 5,000 digits": (413, changed(b": 14", b": " + b"9" * 5000)),
    "a length of 5,000 zeros": (413, changed(b": 14", b": " + b"0" * 5000)),
    "length and chunks": (400, changed(LENGTH, LENGTH + b"Transfer-Encoding: chunked\r\n")),
    "identity, chunked": (400, changed(LENGTH, b"Transfer-Encoding: identity, chunked\r\n")),
    "chunked, identity": (400, changed(LENGTH, b"Transfer-Encoding: chunked, identity\r\n")),
    "chunked twice": (400, changed(LENGTH, b"Transfer-Encoding: chunked\r\n" * 2)),
    "xchunked": (400, changed(LENGTH, b"Transfer-Encoding: xchunked\r\n")),
    "chunks in HTTP/1.0": (400, changed(LENGTH, b"Transfer-Encoding: chunked\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")),
    "a space before the colon": (400, changed(b"Content-Length:", b"Content-Length :")),
    "a folded header": (400, changed(LENGTH, b"X: y\r\n z\r\n" + LENGTH)),
    "a line that ends in LF": (400, changed(LENGTH, b"X: y\n" + LENGTH)),
    "a lone CR": (400, changed(LENGTH, b"X: y\rZ: z\r\n" + LENGTH)),
    "a zero byte": (400, changed(LENGTH, b"X: \0\r\n" + LENGTH)),
    "no name": (400, changed(LENGTH, b": y\r\n" + LENGTH)),
    "no colon": (400, changed(LENGTH, b"X\r\n" + LENGTH)),
    "HTTP/2.0": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.10": (400, changed(b"HTTP/1.1", b"HTTP/1.10")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "two spaces": (400, changed(b"POST /", b"POST  /")),
    "a space in the path": (400, changed(b"register/d", b"register/d d")),
    "a control character in the path": (400, changed(b"register/d", b"register/\x01")),
    "a path that is not ASCII": (400, changed(b"register/d", "register/é".encode())),
    "a query that is not ASCII": (400, b"GET /nothing?x=\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a fragment": (400, changed(b"register/d", b"register/d#d")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "101 headers": (431, changed(LENGTH, b"X: y\r\n" * 101 + LENGTH)),
    "a large header": (431, changed(LENGTH, b"X: " + b"y" * 33_000 + b"\r\n" + LENGTH)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_http_is_refused_and_closed(start: Start, name: str) -> None:
    """One answer in the envelope, Connection: close; the bytes that follow are no request."""
    started = start()
    status, request = REFUSED[name]
    answers = asked(started, request + post(BODY))
    assert answers.startswith(b"HTTP/1.1 %d " % status)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answers
    assert b'"status":"failed"' in answers
    assert started.lines() == []


BAD_CHUNKS = {
    "a size that is no number": b"x\r\n",
    "a size with 0x": b"0xe\r\n" + BODY,
    "a size with a sign": b"+e\r\n" + BODY,
    "a size of 9 digits": b"00000000e\r\n" + BODY,
    "an empty size": b"\r\n",
    "a size that ends in LF": b"e\n" + BODY + b"\n0\n\n",
    "a control character in an extension": b"e;\0\r\n" + BODY,
    "data longer than its size": b"d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a trailer that is none": b"e\r\n" + BODY + b"\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks_that_are_none_end_the_connection(start: Start, name: str) -> None:
    """Nothing is logged, and no byte after them is a request."""
    started = start()
    answers = asked(started, chunked() + BAD_CHUNKS[name] + post(BODY))
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert started.lines() == []


def test_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    """A hundred in one packet, bodies and all."""
    started = start()
    many = b"".join(post(BODY, path=b"/v1/device/register/d%d" % number) for number in range(100))
    assert asked(started, many + post(BODY, CLOSE)).count(b"HTTP/1.1 200 OK") == 101
    assert [f'"d{number}"'.encode() in line for number, line in enumerate(started.lines()[:100])] == [True] * 100


def test_a_client_that_sends_no_more_gets_its_answers(start: Start) -> None:
    """Half-closed after two whole requests: both are answered; after half a request: closed."""
    started = start()
    for request, answers in ((post(BODY) * 2, 2), (post(BODY)[:-1], 0), (post(BODY)[:50], 0), (b"", 0)):
        with connected(started) as opened:
            opened.sendall(request)
            opened.shutdown(socket.SHUT_WR)
            assert rest_of(opened).count(b"HTTP/1.1 200 OK") == answers


def test_a_request_byte_by_byte(start: Start) -> None:
    """Each in a packet of its own, in chunks too."""
    started = start()
    for request in (post(BODY, CLOSE), chunked(REGISTER, CLOSE) + CHUNKED_BODY):
        with connected(started) as opened:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(len(request)):
                opened.sendall(request[number : number + 1])
            assert rest_of(opened).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_waits_for_100_continue(start: Start) -> None:
    """Is told to go on; one whose request is refused by its head is not."""
    started = start()
    expecting = post(BODY, b"Expect: 100-continue", CLOSE)
    with connected(started) as opened:
        opened.sendall(expecting[: -len(BODY)])
        assert opened.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        opened.sendall(BODY)
        assert rest_of(opened).startswith(b"HTTP/1.1 200 OK")
    assert asked(started, expecting[: -len(BODY)].replace(b"application/json", b"text/plain")).startswith(b"HTTP/1.1 415 ")


def test_tiny_chunks_take_turns(start: Start) -> None:
    """A thousand are taken twenty lines and data at a time, so that others are served between; all of them count."""
    chunks, unread, body, turns = Chunks(10_000), bytearray(b"1\r\n \r\n" * 1000 + b"0\r\n\r\n"), bytearray(), 0
    while not chunks.whole:
        taken = len(body)
        chunks.take(unread, body)
        turns += 1
        assert len(body) - taken <= 20
        assert chunks.more != chunks.whole
    assert (len(body), bytes(unread), turns > 10) == (1000, b"", True)
    sent = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY.ljust(1000))
    assert asked(start(), chunked(REGISTER, CLOSE) + sent + b"0\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


def test_head_is_answered_without_a_body(start: Start) -> None:
    """And the next request on the connection is found."""
    started = start()
    answers = asked(started, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + post(BODY, CLOSE))
    assert answers.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 OK")

"""Anonymous bytes without end: whatever is sent after a head, on whatever path, the process stays small and ends the connection."""

from collections.abc import Iterator

import pytest

from tests.api.attacked import BODY, Attacked, chunked, post, pour

MIB = 1 << 20
SENT = 40 * MIB
GROWTH_MB = 60

CHUNK = b"e\r\n" + BODY + b"\r\n"
PATHS = {
    "a registration": chunked(),
    "a wrong media type": chunked(b"/v1/device/register/d", b"Content-Type: text/plain"),
    "a wrong path": chunked(b"/nothing"),
    "a wrong id": chunked(b"/v1/device/register/%00"),
    "a read": chunked(b"/v1/device/profile/d", method=b"GET"),
    "the admin port": chunked(b"/metrics", method=b"GET"),
}
AFTER = {
    "trailers": (CHUNK + b"0\r\n", b"X-A: " + b"y" * 1000 + b"\r\n"),
    "one trailer": (CHUNK + b"0\r\nX-A: ", b"y" * 1000),
    "chunk extensions": (b"1;", b"x" * 1000),
    "chunks of one byte": (b"", b"1\r\n \r\n" * 200),
    "zeros of a size": (b"", b"0" * 1000),
    "bytes": (b"ffffffff\r\n", b" " * 1000),
}


@pytest.fixture(scope="module", params=["open", "with keys"])
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """`up` on the embedded default, once open and once with keys and a rate limit."""
    directory = tmp_path_factory.mktemp("attacked")
    if request.param == "with keys":
        (directory / "devicesync.toml").write_text('register_keys = "key"\nrate_limit_per_minute = 1000000\n')
    started = Attacked(directory, "up")
    yield started
    started.kill()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("after", AFTER)
def test_bytes_without_end_after_a_head_cost_no_memory(attacked: Attacked, path: str, after: str) -> None:
    """The connection is ended within a few MiB; a registration before would have kept 11 bytes for each of them."""
    first, more = AFTER[after]
    before = attacked.rss_mb()
    with attacked.connect(attacked.admin_port if path == "the admin port" else None) as opened:
        opened.sendall(PATHS[path] + first)
        assert pour(opened, more, SENT) < SENT
    assert attacked.rss_mb() - before < GROWTH_MB


def test_no_header_that_comes_after_the_head_counts(attacked: Attacked) -> None:
    """A key in a trailer opens nothing, and a trailer is no header of the next request."""
    trailer = CHUNK + b"0\r\nX-API-Key: key\r\nConnection: close\r\n\r\n"
    answers = attacked.ask(chunked() + trailer + post(BODY, b"Connection: close"))
    kept_open = attacked.ask(post(BODY, b"Connection: close"))
    assert answers.count(kept_open[:12]) == 2, answers


HEADS = {
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: y\r\n"),
    "a name": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x" * 1000),
    "a target": (b"GET /", b"x" * 1000),
    "empty lines": (b"", b"\r\n"),
}


@pytest.mark.parametrize("endless", HEADS)
def test_heads_without_end_cost_no_memory(attacked: Attacked, endless: str) -> None:
    """Ended above 32 KiB."""
    before = attacked.rss_mb()
    with attacked.connect() as opened:
        first, more = HEADS[endless]
        opened.sendall(first)
        assert pour(opened, more * 100, SENT) < SENT
    assert attacked.rss_mb() - before < GROWTH_MB

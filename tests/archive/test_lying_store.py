"""A store that lies: the real client asks a small server that speaks S3, and sends what it likes."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("s3fs")

from devicesync.archive import s3
from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.errors import Damaged, Unavailable

PIECE = b"x" * (64 << 10)


class Liar:
    """What it sends for each path and query. sent: bytes of bodies, some of which may still be in the system's buffers."""

    def __init__(self) -> None:
        self.answer: Callable[[str, dict[str, list[str]]], Iterator[bytes]] = lambda _path, _query: iter(())
        self.length: int | None = None
        self.status = 200
        self.sent = self.asked = 0
        self.over = Event()
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                liar.asked += 1
                self.head()
                there = urlsplit(self.path)
                with suppress(OSError):
                    for piece in liar.answer(there.path, parse_qs(there.query)):
                        self.wfile.write(piece)
                        liar.sent += len(piece)
                self.close_connection = True

            def do_HEAD(self) -> None:
                self.head()

            def head(self) -> None:
                self.send_response(liar.status)
                if liar.length is not None:
                    self.send_header("Content-Length", str(liar.length))
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    server = Liar()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    yield server
    server.over.set()
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def storage(liar: Liar) -> Storage:
    del liar
    return Storage("s3://bucket/prefix")


def without_end(*_: object) -> Iterator[bytes]:
    """As fast as it is taken, up to 1 GiB."""
    for _number in range(1 << 14):
        yield PIECE


def page(names: list[str], token: str = "") -> bytes:
    """Of a listing. token: of the next page."""
    more = f"<NextContinuationToken>{token}</NextContinuationToken><IsTruncated>true</IsTruncated>"
    more = more if token else "<IsTruncated>false</IsTruncated>"
    keys = "".join(f"<Contents><Key>prefix/d/{name}</Key><Size>1</Size></Contents>" for name in names)
    return f'<?xml version="1.0"?><ListBucketResult>{more}{keys}</ListBucketResult>'.encode()


def test_a_body_without_end_is_read_to_its_bound(liar: Liar, storage: Storage, tmp_path: Path) -> None:
    """Of a file, and of the manifest's. No more is on the disk than a piece of the client's."""
    liar.answer = without_end
    with pytest.raises(Damaged, match="more than 1,000 bytes"):
        storage.fetch("a/1.parquet", tmp_path / "into", 1000)
    assert (tmp_path / "into").stat().st_size <= len(PIECE) + 1000
    with pytest.raises(Damaged, match="more than 1,000 bytes"):
        storage.read_bytes("a/1.json", 1000)
    assert liar.sent < 64 << 20


def test_a_body_that_is_longer_than_was_said_is_not_read(liar: Liar, storage: Storage, tmp_path: Path) -> None:
    """It says so itself, for the read alone."""
    liar.answer, liar.length = without_end, 1 << 40
    with pytest.raises(Damaged, match="more than 1,000 bytes"):
        storage.fetch("a/1.parquet", tmp_path / "into", 1000)
    with pytest.raises(Damaged, match="1,099,511,627,776 bytes instead of 1,000"):
        Archive(storage, "t")._checked("a/1.parquet", 1000, "", tmp_path / "into")
    assert liar.sent < 64 << 20


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_without_end_is_read_to_its_bound(liar: Liar, storage: Storage, status: int) -> None:
    """A listing's page, and what an error says."""
    liar.answer, liar.status = without_end, status
    with pytest.raises(Unavailable, match="its answer has more than"):
        storage.names("d")
    if status != 200:
        with pytest.raises((Unavailable, Damaged)):
            storage.read_bytes("d/1.json", 1000)
    assert liar.sent < 256 << 20


def test_a_file_of_just_so_many_bytes_is_read(liar: Liar, storage: Storage, tmp_path: Path) -> None:
    """And one that has none; and pages that go on, with directories, an empty page, and the directory's own name."""
    liar.answer = lambda *_: iter([PIECE, PIECE])
    assert storage.read_bytes("a", 2 * len(PIECE)) == PIECE * 2
    fetched = storage.fetch("a", tmp_path / "into", 2 * len(PIECE))
    assert fetched
    assert fetched.read_bytes() == PIECE * 2
    liar.answer = lambda *_: iter(())
    assert storage.read_bytes("a", 0) == b""
    pages = {"": page(["", "b"], "1"), "1": page([], "2"), "2": page(["a"], "3"), "3": page(["b/"])}
    liar.answer = lambda _, query: iter([pages[query.get("continuation-token", [""])[0]]])
    assert storage.names("d") == ["a", "b"]


@pytest.mark.parametrize("text", ["", "<html><body>Sign in</body></html>", "<ListBucketResult/>"])
def test_what_is_no_listing_is_no_empty_one(liar: Liar, storage: Storage, text: str) -> None:
    """With status 200, as a proxy answers in the store's place: a backup would begin again from the log's first record."""
    liar.answer = lambda *_: iter([text.encode()])
    with pytest.raises(Unavailable, match="its answer is no listing"):
        storage.names("d")
    liar.answer = lambda _, query: iter([text.encode() if query.get("continuation-token") else page(["a"], "1")])
    with pytest.raises(Unavailable, match="its answer is no listing"):
        storage.names("d")


@pytest.mark.parametrize("period", [1, 3])
def test_a_listing_that_repeats_its_pages_is_refused(liar: Liar, storage: Storage, period: int) -> None:
    """Each with the token of the next, and the last with that of the first."""

    def answer(_: str, query: dict[str, list[str]]) -> Iterator[bytes]:
        number = int(query.get("continuation-token", ["0"])[0])
        yield page([f"{number}.json"], str((number + 1) % period))

    liar.answer = answer
    with pytest.raises(Unavailable, match="repeats its pages"):
        storage.names("d")
    assert liar.asked == period + 1


def test_a_listing_of_too_many_names_is_refused(liar: Liar, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page has new ones."""
    monkeypatch.setattr(s3, "_NAMES_BYTES", 1 << 20)
    liar.answer = lambda *_: iter([page([f"{liar.asked}-{number}" for number in range(1000)], str(liar.asked))])
    with pytest.raises(Unavailable, match=r"more than [0-9,]+ names"):
        storage.names("d")
    assert liar.asked <= 11


def test_a_listing_of_empty_pages_ends_in_time(liar: Liar, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with another token."""
    monkeypatch.setattr(s3, "SHORTEST_SECONDS", 0.5)
    liar.answer = lambda *_: iter([page([], str(liar.asked))])
    with pytest.raises(Unavailable, match=r"takes too long|no whole answer"):
        storage.names("d")


@pytest.mark.parametrize("what", ["read", "fetch", "list"])
def test_what_comes_a_byte_at_a_time_ends_in_time(
    liar: Liar, storage: Storage, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own time-out begins again with each byte."""
    monkeypatch.setattr(s3, "SHORTEST_SECONDS", 0.5)

    def drip(*_: object) -> Iterator[bytes]:
        while not liar.over.wait(0.05):
            yield b" "

    liar.answer = drip
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: storage.read_bytes("a", 10_000),
        "fetch": lambda: storage.fetch("a", tmp_path / "into", 10_000),
        "list": lambda: storage.names("d"),
    }
    with pytest.raises(Unavailable, match="no whole answer"):
        calls[what]()

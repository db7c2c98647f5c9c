"""A whole API in this process, over a log in memory, for tests that look inside; and one as users start it."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from devicesync.api import versions
from devicesync.api.service import api
from devicesync.cache.memory import MemoryCache
from devicesync.clock import SYSTEM
from devicesync.config import load
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.state import state_of
from devicesync.log.memory import MemoryLog
from devicesync.status.metrics import Metrics
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.stores import Stores
from tests.end_to_end.command import WAIT_SECONDS

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/68.0.3440.75 Safari/537.36"


class Started(NamedTuple):
    """An API that runs: clients of its two ports, and its log."""

    client: httpx.Client
    admin: httpx.Client
    log: MemoryLog

    def lines(self) -> list[bytes]:
        """What is in the log."""
        return [record.value or b"" for record in self.log.records]


@contextmanager
def crowd(started: Started, request: bytes, count: int, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """So many connections of one address, each with this request. At the end they are reset."""
    address = started.client.base_url.host, started.client.base_url.port
    with ExitStack() as opened:
        connections = [opened.enter_context(socket.create_connection(address, source_address=(source, 0))) for _ in range(count)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request)
        yield connections


def put(directory: Path, event: bytes, ahead_seconds: int = 0) -> int:
    """Give the API's database what an event says at a version so far ahead of now; the version."""
    version = time.time_ns() // 1000 + ahead_seconds * 1_000_000
    decoded = decode(event % version, taken_ms=version // 1000)
    with closing(SqliteDatabase(directory / "profile.db")) as database:
        database.merge({decoded.device_id: state_of(decoded)})
    return version


class Clock:
    """Stands for the machine's clock: `step` moves it by so many seconds."""

    def __init__(self) -> None:
        self.offset_us = 0

    def us(self) -> int:
        return time.time_ns() // 1000 + self.offset_us

    def ms(self) -> int:
        return self.us() // 1000

    def step(self, seconds: int) -> None:
        self.offset_us += seconds * 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the API looks at. A slow machine may take a while for the log."""
    monkeypatch.setattr(versions, "_PATIENCE_SECONDS", 60)
    stepped = Clock()
    monkeypatch.setattr(SYSTEM, "now_us", stepped.us)
    return stepped


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Any) -> Iterator[Start]:
    """Start an API with these settings, over this log or one in memory."""
    with ExitStack() as opened:

        def begin(log: Any = None, spans: Spans = NO_SPANS, **settings: Any) -> Started:
            everywhere = {
                "data_dir": str(tmp_path),
                "listen": "127.0.0.1:0",
                "admin_listen": "127.0.0.1:0",
                "min_version_wait_ms": 100,
            }
            loaded = load(everywhere | settings, {}).settings
            log = log or MemoryLog()
            stores = Stores(MemoryCache(), SqliteDatabase(tmp_path / "profile.db"))
            public, admin = opened.enter_context(api(loaded, log, lambda: stores, Metrics("api"), spans=spans))
            client, of_admin = (
                opened.enter_context(httpx.Client(base_url=url, headers={"User-Agent": AGENT}, timeout=WAIT_SECONDS))
                for url in (public, admin)
            )
            return Started(client, of_admin, log)

        yield begin

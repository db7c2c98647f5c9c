"""A whole API in this process, over a log in memory, for tests that look inside; and one as users start it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest

from devicesync.api.metrics import Metrics
from devicesync.api.service import api
from devicesync.cache.memory import MemoryCache
from devicesync.config import load
from devicesync.database.sqlite import SqliteDatabase
from devicesync.log.memory import MemoryLog

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/68.0.3440.75 Safari/537.36"


class Started(NamedTuple):
    """An API that runs: clients of its two ports, and its log."""

    client: httpx.Client
    admin: httpx.Client
    log: MemoryLog

    def lines(self) -> list[bytes]:
        """What is in the log."""
        return [record.value for record in self.log.records]


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Any) -> Iterator[Start]:
    """Start an API with these settings, over this log or one in memory."""
    with ExitStack() as opened:

        def begin(log: Any = None, **settings: Any) -> Started:
            everywhere = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "min_version_wait_ms": 100}
            loaded = load(everywhere | settings, {}).settings
            log = log or MemoryLog()
            stores = MemoryCache(), SqliteDatabase(tmp_path / "profile.db")
            public, admin = opened.enter_context(api(loaded, log, lambda: stores, Metrics()))
            client, of_admin = (
                opened.enter_context(httpx.Client(base_url=url, headers={"User-Agent": AGENT}, timeout=30))
                for url in (public, admin)
            )
            return Started(client, of_admin, log)

        yield begin

"""A machine whose clock is ahead of Kafka's: what it writes into the log itself is not acknowledged, nor written to the stores."""

import threading
import time
from pathlib import Path

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.jobs.delivery import Direct
from devicesync.law.event import Event
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.stores import Stores
from tests import servers


def test_an_event_that_the_updaters_will_refuse(tmp_path: Path) -> None:
    """6 minutes ahead, where 5 are allowed; 4 minutes ahead goes through."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/clock-ahead")
    create_topics(url, partitions=1)
    log = KafkaLog(url, "clock-ahead")
    stores = Stores(MemoryCache(), SqliteDatabase(tmp_path / "profiles.db"))
    delivery = Direct(log, stores, threading.Event())
    now_us = time.time_ns() // 1000
    delivery.send([b"{}"], [Event("soon", now_us + 240_000_000)])
    with pytest.raises(Unavailable, match="past the log's clock"):
        delivery.send([b"{}", b"{}"], [Event("now", now_us), Event("later", now_us + 360_000_000)])
    assert {*stores.database.read(["soon", "now", "later"])} == {"soon"}
    log.close()
    stores.close()

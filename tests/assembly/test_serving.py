"""The API beside an updater."""

import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from devicesync.assembly.serving import api_beside
from devicesync.assembly.updater import GroupMember, refusal_limit
from devicesync.cache.memory import MemoryCache
from devicesync.config import Settings, load
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.jobs.update import Updater
from devicesync.law.event import decode
from devicesync.law.state import State, state_of
from devicesync.log.memory import MemoryLog
from devicesync.status.measured import StoreCalls
from devicesync.stores import Stores


def settings_of(directory: Path, log: str) -> Settings:
    """A data directory, that log, and ports of its own."""
    return load({"data_dir": str(directory), "log": log, "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}, {}).settings


def in_city(city: bytes, at_ms: int) -> State:
    """The state of device d, registered there and then."""
    line = b'{"device_id":"d","api_last_updated_on":%d,"city":"%s"}' % (at_ms, city)
    return state_of(decode(line, taken_ms=at_ms))


@pytest.mark.parametrize(("log", "shown"), [("kafka://127.0.0.1:1/t", "Mysuru"), ("journal:x.log", "Bengaluru")])
def test_what_another_updater_wrote_is_read(tmp_path: Path, log: str, shown: str) -> None:
    """Over Kafka, where there may be others. Over a journal there is none, so the updater's own cache is read."""
    settings = settings_of(tmp_path, log)
    path = tmp_path / "device-profile.db"
    with closing(Stores(MemoryCache(), SqliteDatabase(path))) as stores, closing(SqliteDatabase(path)) as another:
        stores.write({"d": in_city(b"Bengaluru", 1566383863167)})
        another.merge({"d": in_city(b"Mysuru", 1566383900000)})
        opened, stop = MemoryLog(), threading.Event()
        with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as dead_letters:
            reader = opened.reader("updater")
            updater = Updater(
                reader,
                stores,
                dead_letters,
                source="t",
                batch_records=1,
                refusal_limit=refusal_limit(settings),
                stop=stop,
            )
            with api_beside(settings, GroupMember(opened, reader, stores, updater, StoreCalls())) as (public, _):
                answer = httpx.get(f"{public}/v1/device/profile/d", timeout=60)
    assert shown in answer.text

"""The API beside an updater."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import httpx
import pytest

from devicesync.assembly import running
from devicesync.assembly.long_run import LongRun
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
from tests.end_to_end.command import until


def settings_of(directory: Path, log: str) -> Settings:
    """A data directory, that log, and ports of its own."""
    return load({"data_dir": str(directory), "log": log, "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}, {}).settings


def in_city(city: bytes, at_ms: int) -> State:
    """The state of device d, registered there and then."""
    line = b'{"device_id":"d","api_last_updated_on":%d,"city":"%s"}' % (at_ms, city)
    return state_of(decode(line, taken_ms=at_ms))


@contextmanager
def member_of(settings: Settings, stores: Stores, stop: threading.Event) -> Iterator[GroupMember]:
    """An updater that nobody runs, over a log that has nothing."""
    opened = MemoryLog()
    with closing(SqliteDeadLetters(settings.directory / "dead-letters.db")) as dead_letters:
        reader = opened.reader("updater")
        limit = refusal_limit(settings)
        updater = Updater(reader, stores, dead_letters, source="t", batch_records=1, refusal_limit=limit, stop=stop)
        yield GroupMember(opened, reader, stores, updater, StoreCalls())


@pytest.mark.parametrize(("log", "shown"), [("kafka://127.0.0.1:1/t", "Mysuru"), ("journal:x.log", "Bengaluru")])
def test_what_another_updater_wrote_is_read(tmp_path: Path, log: str, shown: str) -> None:
    """Over Kafka, where there may be others. Over a journal there is none, so the updater's own cache is read."""
    settings = settings_of(tmp_path, log)
    path, stop = tmp_path / "device-profile.db", threading.Event()
    with closing(Stores(MemoryCache(), SqliteDatabase(path))) as stores, closing(SqliteDatabase(path)) as another:
        stores.write({"d": in_city(b"Bengaluru", 1566383863167)})
        another.merge({"d": in_city(b"Mysuru", 1566383900000)})
        with member_of(settings, stores, stop) as member, api_beside(settings, member, stop) as (public, _):
            answer = httpx.get(f"{public}/v1/device/profile/d", timeout=60)
    assert shown in answer.text


def test_it_stops_when_the_updater_is_told_to(tmp_path: Path) -> None:
    """Not after it: where Kafka did not answer, each waited for as long, and SIGTERM for the sum."""
    settings, stop = settings_of(tmp_path, "kafka://127.0.0.1:1/t"), threading.Event()
    with (
        closing(Stores(MemoryCache(), SqliteDatabase(tmp_path / "device-profile.db"))) as stores,
        member_of(settings, stores, stop) as member,
        api_beside(settings, member, stop) as addresses,
    ):
        assert all(serves(address) for address in addresses)
        stop.set()
        until(lambda: not any(serves(address) for address in addresses))


def test_the_reader_is_closed_before_what_is_served_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have to wait for Kafka, and so may the API, which stops meanwhile."""
    told: list[str] = []
    member = mock.MagicMock()
    member.reader.close.side_effect = lambda: told.append("reader")

    @contextmanager
    def served(*_: object) -> Iterator[str]:
        yield ""
        told.append("served")

    monkeypatch.setattr(running, "group_member", lambda *_: nullcontext(member))
    monkeypatch.setattr(running, "_serving", served)
    running.keep_updating("up", settings_of(tmp_path, "kafka://127.0.0.1:1/t"), LongRun(threading.Event(), mock.MagicMock()))
    assert told == ["reader", "served"]


def serves(address: str) -> bool:
    """Whether anything listens there."""
    try:
        return httpx.get(f"{address}/livez", timeout=60).status_code > 0
    except httpx.TransportError:
        return False

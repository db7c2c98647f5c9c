"""What a process says at a glance, and one device's way."""

import json

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.cli.status import _lines
from devicesync.errors import Stopped
from devicesync.law.event import Event, decode
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State, state_of
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Lag
from devicesync.status import trace as module
from devicesync.status.declared import APPLIED, AUDIT_BOUND, AUDIT_CHECKED, AUDIT_DIFFERENCES, REFUSED
from devicesync.status.freshness import Freshness
from devicesync.status.metrics import Metrics
from devicesync.status.summary import summary
from devicesync.status.trace import trace
from devicesync.stores import Stores
from tests.status.test_freshness import taken

VERSION = 1566383863167000


def line(device_id: str, version: int, **fields: str) -> bytes:
    return json.dumps({"device_id": device_id, "version": version, **fields}).encode()


def state(event: bytes) -> State:
    return state_of(decode(event, taken_ms=VERSION // 1000))


class Rows:
    """A database of states, as far as a trace needs one."""

    def __init__(self, **states: State) -> None:
        self._states = states

    def seen(self, device_ids: list[str]) -> dict[str, Seen]:
        return {name: seen_of(found) for name in device_ids if (found := self._states.get(name))}


def followed(in_cache: bytes | None, in_database: bytes, *lines: bytes) -> tuple[bool, bool, dict[str, bool]]:
    """Of device d: whether the stores differ, whether something is on its way, and of each field whether it differs."""
    log, cache = MemoryLog(), MemoryCache()
    log.append([*lines])
    if in_cache:
        tickets = cache.look(["d"]).tickets
        cache.merge({"d": state(in_cache)}, tickets)
    found = trace("d", log, Stores(cache, Rows(d=state(in_database))))  # type: ignore[arg-type]
    return found.differs, found.is_on_its_way, {each.field: each.differs for each in found.fields}


def test_what_a_process_does_not_do_is_absent() -> None:
    """A job without updater has no freshness; what lacks is said."""
    found = summary(Metrics("ship"), {"topic": "no broker"})
    assert (found["freshness"], found["lag"], found["refused"], found["audit"], found["seconds"]) == (None, None, None, None, [])
    assert (found["ready"], found["lacking"], found["totals"]) == (False, {"topic": "no broker"}, {})


def test_what_lies_behind_an_open_transaction_is_told_apart() -> None:
    """The rest of the lag is read in time; of this a producer decides."""
    metrics = Metrics("update")
    metrics.add_lag(lambda: Lag(1_012, 20.0, is_read=True, held=1_000))
    found = summary(metrics, {})
    assert found["lag"] == {"records": 1_012, "seconds": 20.0, "held": 1_000}
    assert "1,012 records, the oldest 20 s old; 1,000 of them lie behind an open transaction" in "\n".join(_lines(found))


def test_an_updaters_figures() -> None:
    """Of the last minute, and since its start."""
    metrics = Metrics("update")
    metrics.began -= 1000
    metrics.freshness = Freshness()
    metrics.freshness.observe(taken(*[5] * 60))
    metrics.add(lambda: {APPLIED: 7, REFUSED: {"too_large": 2}})
    metrics.add(lambda: {AUDIT_CHECKED: 1000, AUDIT_DIFFERENCES: {"stale_in_cache": 2.0}, AUDIT_BOUND: 0.006})
    found = summary(metrics, {})
    assert (found["freshness"]["records"], found["events_per_second"], found["totals"]) == (60, 1.0, {"applied": 7})
    assert (found["refused"], found["audit"]) == ({"too_large": 2}, {"checked": 1000, "differing": 2, "bound_95": 0.006})
    assert found["freshness"]["max_ms"] >= 5


def test_a_young_process_has_its_own_rate() -> None:
    """What came in its first seconds is not spread over a minute."""
    metrics = Metrics("up")
    metrics.freshness = Freshness()
    metrics.freshness.observe(taken(*[5] * 60))
    assert summary(metrics, {})["events_per_second"] > 1


def test_a_device_that_is_everywhere_alike() -> None:
    event = line("d", VERSION, city="Mysuru")
    differs, on_its_way, fields = followed(event, event, event, line("another", VERSION))
    assert (differs, on_its_way, fields) == (False, False, {"api_last_updated_on": False, "city": False})


def test_differences_are_found() -> None:
    """Other content of one version, also in a field that is not shown; another version; the log ahead of both."""
    event = line("d", VERSION, city="Mysuru", fcm_token="one")
    assert followed(event, line("d", VERSION, city="Mysuru", fcm_token="two"), event)[2]["fcm_token"]
    assert followed(event, line("d", VERSION, city="Hubballi", fcm_token="one"))[0]
    assert followed(event, line("d", VERSION + 1, city="Mysuru", fcm_token="one"))[0]
    differs, on_its_way, _ = followed(event, event, event, line("d", VERSION + 5, city="Hubballi"))
    assert (differs, on_its_way) == (False, True)


def test_what_the_cache_lacks_is_no_difference() -> None:
    """It may lose any device at any time."""
    assert followed(None, line("d", VERSION, city="Mysuru"))[0] is False


def test_of_a_device_with_many_large_records_the_last_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 of 55 KB took 52 s, and as long for any other device where they had escapes."""
    decoded = []

    def counted(raw: bytes, **times: int) -> Event:
        decoded.append(len(raw))
        return decode(raw, **times)

    monkeypatch.setattr(module, "decode", counted)
    log = MemoryLog()
    log.append([line("d", VERSION + number, city="\\" * 30_000) for number in range(300)])
    found = trace("d", log, Stores(MemoryCache(), Rows()))  # type: ignore[arg-type]
    assert [each.offset for each in found.logged] == [*range(299, 299 - len(decoded), -1)]
    assert 7 << 20 < sum(decoded) <= 8 << 20
    decoded.clear()
    assert not trace("e", log, Stores(MemoryCache(), Rows())).is_known  # type: ignore[arg-type]
    assert not decoded


def test_a_trace_is_ended_by_its_check() -> None:
    """The process stops, and its page reads 5,000 records for somebody."""
    log = MemoryLog()
    log.append([line("d", VERSION)])

    def check() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        trace("d", log, Stores(MemoryCache(), Rows()), check=check)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", [rb'{"device_id":"\u0064","version":%d}' % VERSION, rb'{"version":%d,"device_id":"d"}' % VERSION]
)
def test_a_record_is_found_however_its_id_is_written(text: bytes) -> None:
    """With escapes too; null records and others' are passed by."""
    log = MemoryLog()
    log.append([b"bad", text, line("e", VERSION, city="d")])
    found = trace("d", log, Stores(MemoryCache(), Rows()))  # type: ignore[arg-type]
    assert [(each.offset, each.version, each.erase) for each in found.logged] == [(1, VERSION, False)]
    assert found.is_known

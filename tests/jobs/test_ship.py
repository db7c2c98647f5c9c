"""What `ship` sends. Real servers see it in tests/integration/test_shipping.py."""

import threading
import time

from devicesync.clock import SYSTEM
from devicesync.jobs.ship import ship
from devicesync.law.event import decode
from devicesync.log.memory import MemoryLog


def test_of_a_very_long_line_the_beginning_is_shipped() -> None:
    """No topic takes it whole by default, and the law refuses it: it must not keep the lines after it."""
    source, target = MemoryLog(), MemoryLog()
    long = b'{"device_id":"x","city":"' + b"y" * 1_200_000 + b'"}'
    source.append([b"one", long, b"two"])
    ship(source.reader("ship"), target, threading.Event(), batch_records=10, max_clock_ahead_ms=300_000, until_caught_up=True)
    assert [record.value for record in target.records] == [b"one", long[: 1 << 19], b"two"]


def test_a_record_with_an_id_that_the_law_refuses_has_no_key() -> None:
    """Key and value together were more than a topic takes: the line, and those after it, were shipped never."""
    source, target = MemoryLog(), MemoryLog()
    values = [b'{"device_id":"%b"}' % (b"x" * count) for count in (256, 257)]
    source.append(values)
    ship(source.reader("ship"), target, threading.Event(), batch_records=10, max_clock_ahead_ms=300_000, until_caught_up=True)
    assert [(record.key, record.value) for record in target.records] == [(b"x" * 256, values[0]), (None, values[1])]


class Broker(MemoryLog):
    """A target that tells when it took the last append, as a topic with the broker's time does."""

    def taken_ms(self) -> int:  # type: ignore[override]  # MemoryLog tells none
        return self.records[-1].taken_ms


def test_records_past_the_broker_s_clock_wait_for_it() -> None:
    """The journal's clock lay ahead: one record learns the broker's time, the others wait; bad lines wait for nobody."""
    now = [time.time_ns() // 1_000_000]
    source, target = MemoryLog(lambda: now[0] + 301_000), Broker(SYSTEM.now_ms)
    version = (now[0] + 301_000) * 1000
    far = b'{"device_id":"far","version":%d}' % (version * 2)
    values = [b'{"device_id":"d%d","version":%d}' % (number, version + number) for number in range(5)]
    source.append([*values, far, b"{"])
    ship(source.reader("ship"), target, threading.Event(), batch_records=10, max_clock_ahead_ms=300_000, until_caught_up=True)
    assert [record.value for record in target.records] == [values[0], *values, far, b"{"]
    for record in target.records[1:6]:
        decode(record.value or b"", taken_ms=record.taken_ms)

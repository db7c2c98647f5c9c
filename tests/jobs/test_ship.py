"""What `ship` sends. Real servers see it in tests/integration/test_shipping.py."""

import threading

from devicesync.jobs.ship import ship
from devicesync.log.memory import MemoryLog


def test_of_a_very_long_line_the_beginning_is_shipped() -> None:
    """No topic takes it whole by default, and the law refuses it: it must not keep the lines after it."""
    source, target = MemoryLog(), MemoryLog()
    long = b'{"device_id":"x","city":"' + b"y" * 1_200_000 + b'"}'
    source.append([b"one", long, b"two"])
    ship(source.reader("ship"), target, threading.Event(), batch_records=10, until_caught_up=True)
    assert [record.value for record in target.records] == [b"one", long[: 1 << 19], b"two"]

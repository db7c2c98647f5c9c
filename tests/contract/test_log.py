"""What every log does (log/port.py)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devicesync.log.journal import Journal
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Log, Reader, Record

POLL_SECONDS = 0.05


def journal(directory: Path) -> Log:
    return Journal(directory / "device-profile.log", segment_bytes=200, retention_seconds=3600)


LOGS: dict[str, Callable[[Path], Log]] = {"journal": journal, "memory": lambda directory: MemoryLog()}


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    opened = LOGS[request.param](tmp_path)
    yield opened
    opened.close()


def drain(reader: Reader) -> list[Record]:
    records: list[Record] = []
    while batch := reader.poll(3, POLL_SECONDS):
        records += batch
    return records


def values(reader: Reader) -> list[bytes]:
    return [record.value for record in drain(reader)]


def test_a_reader_gets_everything_in_order_with_its_place_and_time(log: Log) -> None:
    """From the earliest record on; offsets ascend; the log keeps a time with each record."""
    log.append([b"a", b"b"])
    log.append([b"c"])
    reader = log.reader("one")
    records = drain(reader)
    reader.close()
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert [record.offset for record in records] == sorted({record.offset for record in records})
    assert all(record.logged_ms == record.taken_ms > 1_700_000_000_000 for record in records)


def test_bytes_come_back_unchanged(log: Log) -> None:
    """The log does not interpret what it carries."""
    strange = [b"\x00\xff\xfe", b'{"a":1}', b"x" * 70_000, "é".encode(), b" lead and trail "]
    log.append(strange)
    reader = log.reader("one")
    assert values(reader) == strange
    reader.close()


def test_what_is_not_committed_comes_again(log: Log) -> None:
    """At least once: a reader's next life begins after its last commit."""
    log.append([b"a", b"b", b"c", b"d"])
    first = log.reader("one")
    assert [record.value for record in first.poll(2, POLL_SECONDS)] == [b"a", b"b"]
    first.commit()
    assert [record.value for record in first.poll(1, POLL_SECONDS)] == [b"c"]
    first.close()
    second = log.reader("one")
    assert values(second) == [b"c", b"d"]
    second.commit()
    second.close()
    third = log.reader("one")
    assert values(third) == []
    third.close()


def test_readers_do_not_share_positions(log: Log) -> None:
    """Another name reads everything."""
    log.append([b"a"])
    one, two = log.reader("one"), log.reader("two")
    assert values(one) == values(two) == [b"a"]
    one.close()
    two.close()


def test_a_reader_sees_what_is_appended_later(log: Log) -> None:
    """Poll returns [] after its time-out, and goes on when there is more."""
    reader = log.reader("one")
    assert reader.poll(10, POLL_SECONDS) == []
    log.append([b"later"])
    assert values(reader) == [b"later"]
    reader.close()


def test_lag_counts_what_was_not_polled(log: Log) -> None:
    """In records."""
    log.append([b"a", b"b", b"c"])
    reader = log.reader("one")
    reader.poll(1, POLL_SECONDS)
    assert reader.lag() == 2
    drain(reader)
    assert reader.lag() == 0
    reader.close()

"""What every log does (log/port.py)."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devicesync.log.journal import Journal
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Headers, Log, Reader, Record
from tests.contract.logs import journal, kafka, opened, simulated_kafka

POLL_SECONDS = 0.05


LOGS: dict[str, Callable[[Path], Log]] = {
    "journal": journal,
    "memory": lambda directory: MemoryLog(),
    "kafka": kafka,
    "simulated-kafka": simulated_kafka,
}


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with opened(LOGS, request.param, tmp_path) as log:
        yield log


def take(reader: Reader, count: int) -> list[Record]:
    """The next `count` records, however long the log takes to give them."""
    records: list[Record] = []
    deadline = time.monotonic() + 120
    while len(records) < count and time.monotonic() < deadline:
        records += reader.poll(count - len(records), POLL_SECONDS)
    assert len(records) == count
    return records


def values(reader: Reader, count: int) -> list[bytes]:
    """The values of the next `count` records; there are no more than these."""
    found = [record.value or b"" for record in take(reader, count)]
    assert reader.poll(1, POLL_SECONDS) == []
    return found


def test_a_log_that_can_take_records_says_so(log: Log) -> None:
    """`check` passes, before and after there are records."""
    log.check()
    log.append([b"one"])
    log.check()


def test_a_reader_may_be_closed_twice(log: Log) -> None:
    """`up` does so before its API has ended, and again with all that it opened."""
    log.append([b"one"])
    reader = log.reader("one")
    take(reader, 1)
    reader.close()
    reader.close()
    log.append([b"two"])


def test_a_reader_gets_everything_in_order_with_its_place_and_time(log: Log) -> None:
    """From the earliest record on; offsets ascend; the log keeps a time with each record."""
    log.append([b"a", b"b"])
    log.append([b"c"])
    reader = log.reader("one")
    records = take(reader, 3)
    reader.close()
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert [record.offset for record in records] == sorted({record.offset for record in records})
    assert all(record.logged_ms == record.taken_ms > 1_700_000_000_000 for record in records)


def test_bytes_come_back_unchanged(log: Log) -> None:
    """The log does not interpret what it carries."""
    strange = [b"\x00\xff\xfe", b'{"a":1}', b"x" * 70_000, "é".encode(), b" lead and trail "]
    log.append(strange)
    reader = log.reader("one")
    assert values(reader, len(strange)) == strange
    reader.close()


def test_headers_come_back_or_are_dropped(log: Log) -> None:
    """A journal is lines alone. Whoever gives none gets none."""
    given: list[Headers | None] = [[("traceparent", b"00-1-2-01"), ("other", None)], None]
    log.append([b"a", b"b"], None, given)
    log.append([b"c"])
    unasked = log.reader("unasked")
    assert [record.headers for record in take(unasked, 3)] == [None] * 3
    unasked.close()
    reader = log.reader("one")
    reader.reads_headers = True
    found = [record.headers for record in take(reader, 3)]
    assert found in ([*given, None], [None] * 3)
    assert (found[0] is None) == isinstance(log, Journal)
    reader.close()


def test_what_is_not_committed_comes_again(log: Log) -> None:
    """At least once: a reader's next life begins after its last commit."""
    log.append([b"a", b"b", b"c", b"d"])
    first = log.reader("one")
    assert [record.value for record in take(first, 2)] == [b"a", b"b"]
    first.commit()
    assert [record.value for record in take(first, 1)] == [b"c"]
    first.close()
    second = log.reader("one")
    assert values(second, 2) == [b"c", b"d"]
    second.commit()
    second.close()
    third = log.reader("one")
    assert values(third, 0) == []
    assert third.caught_up()
    third.close()


def test_what_is_still_being_worked_off_is_left_out_of_a_commit(log: Log) -> None:
    """But for the last polls that returned any record: what comes of a poll that returned none does not count."""
    log.append([b"a", b"b", b"c", b"d"])
    first = log.reader("one")
    assert [take(first, 1)[0].value for _ in range(4)] == [b"a", b"b", b"c", b"d"]
    assert first.poll(1, POLL_SECONDS) == []
    first.commit(3)
    first.commit(2)
    first.close()
    second = log.reader("one")
    assert values(second, 2) == [b"c", b"d"]
    second.commit(1)
    second.commit(1)
    second.commit()
    second.close()
    third = log.reader("one")
    assert values(third, 0) == []
    third.close()


def test_readers_do_not_share_positions(log: Log) -> None:
    """Another name reads everything."""
    log.append([b"a"])
    one, two = log.reader("one"), log.reader("two")
    assert values(one, 1) == values(two, 1) == [b"a"]
    one.close()
    two.close()


def test_a_reader_sees_what_is_appended_later(log: Log) -> None:
    """Poll returns [] after its time-out, and goes on when there is more."""
    reader = log.reader("one")
    assert reader.poll(10, POLL_SECONDS) == []
    log.append([b"later"])
    assert values(reader, 1) == [b"later"]
    reader.close()


def test_keeping_alive_delivers_nothing_and_loses_nothing(log: Log) -> None:
    """While a store is down, the reader only stays a member."""
    log.append([b"a", b"b", b"c"])
    reader = log.reader("one")
    assert [record.value for record in take(reader, 1)] == [b"a"]
    for _ in range(3):
        reader.keep_alive()
    assert values(reader, 2) == [b"b", b"c"]
    reader.close()


def test_unread_counts_what_was_not_polled(log: Log) -> None:
    """In records."""
    log.append([b"a", b"b", b"c"])
    reader = log.reader("one")
    take(reader, 1)
    assert not reader.caught_up()
    assert [*reader.unread().values()] == [2]
    take(reader, 2)
    assert reader.unread() == {}
    reader.close()

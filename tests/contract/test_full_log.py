"""What every log that can be backed up does (log/full.py)."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from devicesync.errors import Unavailable
from devicesync.log.full import Claim, FullLog, FullReader, FullRecord
from tests.contract.logs import journal, kafka, opened, simulated_kafka

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 120


LOGS: dict[str, Callable[[Path], FullLog]] = {"journal": journal, "kafka": kafka, "simulated-kafka": simulated_kafka}


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullLog]:
    with opened(LOGS, request.param, tmp_path) as log:
        yield log


class Listener:
    """Goes on where the last claim begins, or at `start`; remembers what it was told. fails: so many times it does not know yet."""

    def __init__(self, start: int = 0, fails: int = 0) -> None:
        self.start = start
        self.fails = fails
        self.claims: list[Claim | None] = []
        self.revoked: list[int] = []

    def on_assigned(self, partition: int, claim: Claim | None) -> int:
        assert partition == 0
        if self.fails:
            self.fails -= 1
            raise Unavailable("the archive is away")
        self.claims.append(claim)
        return max(self.start, claim.start if claim else 0)

    def on_revoked(self, partitions: Iterable[int]) -> None:
        self.revoked += partitions


def take(reader: FullReader, count: int) -> list[FullRecord]:
    """The next `count` records of partition 0, however long the log takes to give them."""
    records: list[FullRecord] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(records) < count and time.monotonic() < deadline:
        polled = reader.poll(count - len(records), POLL_SECONDS)
        assert polled.keys() <= {0}
        records += polled.get(0, [])
    assert len(records) == count
    return records


def claimed(reader: FullReader, claim: Claim) -> None:
    """Claim, however often the log asks to retry."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reader.claim({0: claim}):
        assert time.monotonic() < deadline
        reader.keep_alive()


def offsets(records: list[FullRecord]) -> list[int]:
    return [offset for offset, *_ in records]


def test_records_come_with_all_that_the_log_keeps_from_the_offset_that_the_listener_names(log: FullLog) -> None:
    """Consecutive offsets, the log's own times, bytes unchanged; no claim before anybody claimed, or one of the beginning."""
    before_ms = time.time_ns() // 1_000_000
    log.append([b"a", b"\x00\xff", "é".encode(), b"d"])
    listener = Listener(start=1)
    reader = log.full_reader("backup", listener)
    records = take(reader, 3)
    (first_claim,) = listener.claims
    reader.close()
    assert first_claim in (None, Claim(log.survey().identity, 0, None))
    assert offsets(records) == [1, 2, 3]
    assert [record[3] for record in records] == [b"\x00\xff", "é".encode(), b"d"]
    assert all(record[1] is not None and before_ms <= record[1] <= time.time_ns() // 1_000_000 for record in records)


def test_nothing_is_read_before_the_listener_knows_where_to_begin(log: FullLog) -> None:
    """What it raises, the poll raises, and the next poll asks again. Meanwhile the group is served."""
    log.append([b"a", b"b", b"c"])
    listener = Listener(start=1, fails=3)
    reader = log.full_reader("backup", listener)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while listener.fails and time.monotonic() < deadline:
        left = listener.fails
        with suppress(Unavailable):
            assert reader.poll(10, POLL_SECONDS) == {}
            assert listener.fails == left  # or it would have raised
        reader.keep_alive()
    assert listener.claims == []
    assert offsets(take(reader, 2)) == [1, 2]
    assert len(listener.claims) == 1
    reader.close()


def test_the_next_owner_is_told_what_was_claimed(log: FullLog) -> None:
    """Start, identity and listing; the end too where several processes can own partitions. What is not claimed comes again."""
    log.append([b"a", b"b", b"c", b"d"])
    first = log.full_reader("backup", Listener())
    take(first, 3)
    claim = Claim(first.identity(), 2, 4, listing="0123456789abcdef")
    claimed(first, claim)
    claimed(first, claim)
    first.close()
    heir = Listener()
    second = log.full_reader("backup", heir)
    assert offsets(take(second, 2)) == [2, 3]
    second.close()
    assert heir.claims in ([claim], [claim._replace(end=None)])


def test_a_shorter_listing_takes_the_place_of_a_longer_one(log: FullLog) -> None:
    """Whole: the file of a journal's position is written over."""
    log.append([b"a", b"b"])
    first = log.full_reader("backup", Listener())
    take(first, 2)
    claimed(first, Claim(first.identity(), 1, None, listing="0123456789abcdef"))
    claimed(first, claim := Claim(first.identity(), 1, None, listing="shorter"))
    first.close()
    heir = Listener()
    second = log.full_reader("backup", heir)
    take(second, 1)
    second.close()
    assert heir.claims == [claim]


def test_a_reader_goes_back_to_any_offset(log: FullLog) -> None:
    """Rewound, it delivers from there on, and nothing of before."""
    log.append([b"a", b"b", b"c"])
    reader = log.full_reader("backup", Listener())
    assert offsets(take(reader, 3)) == [0, 1, 2]
    reader.rewind(0, 1)
    reader.keep_alive()
    assert offsets(take(reader, 2)) == [1, 2]
    reader.close()


def test_a_partition_begins_anew_where_the_listener_then_says(log: FullLog) -> None:
    """It is told what is claimed by now, and nothing is read before."""
    log.append([b"a", b"b", b"c"])
    listener = Listener()
    reader = log.full_reader("backup", listener)
    assert offsets(take(reader, 1)) == [0]
    claimed(reader, claim := Claim(reader.identity(), 1, None))
    listener.start = 2
    reader.begin_anew(0)
    reader.keep_alive()
    assert offsets(take(reader, 1)) == [2]
    assert listener.claims[1:] == [claim]
    assert listener.revoked == []
    reader.close()


def test_what_was_read_before_a_rewind_does_not_count(log: FullLog) -> None:
    """A backup whose disk is full reads again what it has dropped: until it has, nobody may say that all is read."""
    log.append([b"a", b"b"])
    reader = log.full_reader("backup", Listener())
    take(reader, 2)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reader.read_up_to(0) < 2 and time.monotonic() < deadline:
        assert reader.poll(1, POLL_SECONDS) == {}
    reader.rewind(0, 1)
    assert reader.read_up_to(0) <= 1
    take(reader, 1)
    reader.close()


def test_it_is_caught_up_when_the_claims_begin_at_the_end(log: FullLog) -> None:
    """Reading alone is not enough. The bounds say where the end is, and read_up_to that it was reached."""
    log.append([b"a", b"b"])
    reader = log.full_reader("backup", Listener())
    take(reader, 2)
    assert reader.bounds(0) == (0, 2)
    assert not reader.caught_up()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reader.read_up_to(0) < 2 and time.monotonic() < deadline:
        assert reader.poll(1, POLL_SECONDS) == {}
    assert reader.read_up_to(0) == 2
    claimed(reader, Claim(reader.identity(), 2, None))
    assert reader.caught_up()
    log.append([b"c"])
    assert not reader.caught_up()
    reader.close()


def test_it_says_where_a_partition_begins_by_now(log: FullLog) -> None:
    """A journal need not: it drops nothing that its reader has not claimed."""
    log.append([b"a", b"b"])
    reader = log.full_reader("backup", Listener())
    take(reader, 2)
    assert reader.firsts([0]) in ({0: reader.bounds(0)[0]}, {})
    assert reader.firsts([]) == {}
    reader.close()


def test_records_are_read_by_their_offsets_without_being_a_reader(log: FullLog) -> None:
    """Exactly those asked for; and the survey says which there are."""
    log.append([b"%d" % number for number in range(50)])
    assert log.survey().bounds == {0: (0, 50)}
    found = [record for records in log.records(0, 7, 31) for record in records]
    assert [(record[0], record[3]) for record in found] == [(number, b"%d" % number) for number in range(7, 31)]
    assert list(log.records(0, 5, 5)) == []


def test_a_log_keeps_its_identity(log: FullLog) -> None:
    """Whoever asks, and whatever is appended."""
    identity = log.survey().identity
    log.append([b"a"])
    reader = log.full_reader("backup", Listener())
    assert identity == reader.identity() == log.survey().identity != ""
    reader.close()

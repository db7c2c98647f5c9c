"""Retention drops what a backup has read past, such as the marker of a transaction: that is no loss. Records it has not read are one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import Backup
from devicesync.log.kafka import KafkaLog, KafkaUrl
from tests.simulation.clocks import ProcessClock, Stop, Time
from tests.simulation.kafka_broker import Broker
from tests.simulation.kafka_client import clients_of

if TYPE_CHECKING:
    import threading

LONG = 20
"""Steps after which the open range is closed."""


class Lived:
    """A topic of one partition, and its backup, step by step, in one process after another."""

    def __init__(self, directory: Path, time: Time, broker: Broker) -> None:
        self.time, self.broker, (self.partition,) = time, broker, broker.partitions
        self.archive = Archive(Storage(str(directory / "backup")), "topic")
        self._spool = directory / "spool"
        self._spool.mkdir()

    @contextmanager
    def process(self) -> Iterator[Backup]:
        """A backup that is killed in the end."""
        stop, clock = cast("threading.Event", Stop(self.time)), ProcessClock(self.time)
        log = KafkaLog(KafkaUrl.parse("kafka://simulated/topic"), "group", clock)
        made = Backup(log, self.archive, self._spool, limits=Limits(1 << 20, 3), file_format="jsonl", stop=stop, clock=clock)
        try:
            yield made
        finally:
            for part in made._parts.values():
                part.discard()
            made._reader.close()
            made._encoder.close()
            made._closing.shutdown()

    def goes_on(self, backup: Backup, steps: int = 2) -> None:
        for _ in range(steps):
            self.time.wait(0.5)
            backup._step()

    def commits(self, *values: bytes) -> None:
        """A transaction with these records."""
        for value in values:
            self.broker.append(None, value, None, 0, self.time.now_ms())
        self.partition.mark()

    def aborts(self) -> None:
        """A transaction with one record, which no reader gets."""
        self.partition.mark()
        self.partition.mark()

    def drops(self, leaving: int = 0) -> None:
        """Retention drops all but the last ones."""
        self.partition.forget(len(self.partition.records) - leaving)

    def ranges(self) -> list[tuple[int, int, int]]:
        """The ranges' bounds, and how many records each has."""
        return [(entry.from_offset, entry.next_offset, entry.records) for entry in self.archive.manifest.entries()]


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Lived]:
    time = Time()
    broker = Broker("topic", 1, time.now_ms, wait=time.wait)
    with clients_of(broker, time.now_ms):
        yield Lived(tmp_path, time, broker)


@contextmanager
def losing(*offsets: int) -> Iterator[None]:
    """The backup says that records were lost, from these offsets on."""
    with capture_logs() as said:
        yield
    assert [each["offset"] for each in said if "gone from the log" in each["event"]] == [*offsets]


def _kept_first(lived: Lived, backup: Backup) -> None:
    """The transaction's records are in a file, and its marker was read with them."""
    lived.commits(b"a", b"b")
    lived.goes_on(backup, LONG)


def _read_behind(lived: Lived, backup: Backup) -> None:
    """A file ends, and what is read behind it has no record."""
    lived.broker.append(None, b"a", None, 0, lived.time.now_ms())
    lived.broker.append(None, b"b", None, 0, lived.time.now_ms())
    lived.goes_on(backup, LONG)
    lived.partition.mark()
    lived.goes_on(backup)


def _nothing_kept(lived: Lived, backup: Backup) -> None:
    """There was no record yet."""
    lived.aborts()
    lived.goes_on(backup)
    lived.aborts()
    lived.goes_on(backup)


def _open(lived: Lived, backup: Backup) -> None:
    """The transaction's records are in a file that is open still."""
    lived.commits(b"a", b"b")
    lived.goes_on(backup)


BEFORE: dict[Callable[[Lived, Backup], None], list[tuple[int, int, int]]] = {
    _kept_first: [(0, 2, 2), (2, 4, 1)],
    _read_behind: [(0, 2, 2), (2, 4, 1)],
    _nothing_kept: [(0, 5, 1)],
    _open: [(0, 4, 3)],
}


@pytest.mark.parametrize("before", BEFORE)
def test_what_was_read_past_is_no_loss(lived: Lived, before: Callable[[Lived, Backup], None]) -> None:
    """The next record comes at the offset where the log was cut, and the next range begins where the one before ends."""
    with lived.process() as backup, losing():
        before(lived, backup)
        lived.drops()
        lived.commits(b"next")
        lived.goes_on(backup, LONG)
    assert lived.ranges() == BEFORE[before]


@pytest.mark.parametrize("before", [_kept_first, _read_behind])
@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "killed"])
def test_the_next_process_knows_it_too(lived: Lived, before: Callable[[Lived, Backup], None], *, is_stopped: bool) -> None:
    """A file's end is claimed with what was read past by then, and at SIGTERM the rest. A kill leaves that unknown."""
    with lived.process() as backup:
        before(lived, backup)
        if is_stopped:
            backup._stop.set()
            backup.run()
    lived.drops()
    lived.commits(b"next")
    is_unknown = before is _read_behind and not is_stopped
    with lived.process() as backup, losing(*([2] if is_unknown else [])):
        lived.goes_on(backup, LONG)
    assert lived.ranges() == [(0, 2, 2), (3 if is_unknown else 2, 4, 1)]


@pytest.mark.parametrize("before", [_kept_first, _read_behind, _open])
def test_what_was_not_read_is_a_loss(lived: Lived, before: Callable[[Lived, Backup], None]) -> None:
    """Of the records that retention drops before they were polled the first offset is told, also where it drops all of them."""
    with lived.process() as backup, losing(3, 8):
        before(lived, backup)
        lived.commits(b"lost", b"kept")
        lived.drops(leaving=2)
        lived.goes_on(backup, LONG)
        assert lived.ranges() == [(0, 2, 2), (4, 5, 1)]
        lived.aborts()
        lived.goes_on(backup)
        lived.commits(b"lost")
        lived.drops()
        lived.goes_on(backup)
        lived.commits(b"last")
        lived.goes_on(backup, LONG)
    assert lived.ranges()[2:] == [(10, 11, 1)]


def test_what_a_full_disk_has_dropped_counts_as_unread(lived: Lived) -> None:
    """Then the log loses it. What was read behind it says nothing of it."""
    with lived.process() as backup, losing(0):
        _open(lived, backup)
        (part,) = backup._parts.values()
        assert part.none_before(part.expected) == 3
        part.start_again()
        backup._reader.rewind(0, part.start)
        assert part.none_before(part.expected) == 0
        lived.drops()
        lived.commits(b"next")
        lived.goes_on(backup, LONG)
    assert lived.ranges() == [(3, 4, 1)]


def test_where_nobody_answers_it_is_asked_again_later(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute, for each question takes 5 s, and the others go on. What retention drops before may have been records."""
    asked = []

    def firsts(*_: object) -> dict[int, int]:
        asked.append(lived.time.now_s())
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    with lived.process() as backup, losing(4):
        monkeypatch.setattr("devicesync.log.kafka.full.firsts", firsts)
        _kept_first(lived, backup)
        lived.goes_on(backup, LONG)
        assert len(asked) == 1
        monkeypatch.undo()
        lived.time.wait(60)
        lived.goes_on(backup)
        lived.commits(b"c")
        lived.drops(leaving=2)
        monkeypatch.setattr("devicesync.log.kafka.full.firsts", lambda *_: {})
        lived.goes_on(backup, LONG)
        lived.drops()
        monkeypatch.undo()
        lived.commits(b"d")
        lived.goes_on(backup, LONG)
    assert lived.ranges() == [(0, 2, 2), (2, 4, 1), (5, 6, 1)]


def test_what_goes_while_a_poll_is_kept_is_no_loss(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log was asked of each gap, between records that were all polled. It dropped them meanwhile: each gap was a loss, and a file."""
    with lived.process() as backup, losing():
        lived.goes_on(backup)
        for value in (b"a", b"b", b"c", b"d"):
            lived.commits(value)
        asked = backup._reader.left_from

        def dropped_then(partition: int, start: int, end: int) -> int:
            first = asked(partition, start, end)
            lived.drops()
            return first

        monkeypatch.setattr(backup._reader, "left_from", dropped_then)
        lived.goes_on(backup, LONG)
    assert lived.ranges() == [(0, 7, 4)]

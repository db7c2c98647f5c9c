"""A topic that is made anew with fewer partitions while its backup is at work: the group leaves the missing ones with their member."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import Backup
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.full import KafkaFullReader
from tests.simulation.clocks import ProcessClock, Stop, Time
from tests.simulation.kafka_broker import Broker
from tests.simulation.kafka_client import clients_of

if TYPE_CHECKING:
    import threading

_MOST_WAITS = 200


class StopLater(Stop):
    """It comes to a job that waits for good."""

    waits = 0

    def wait(self, seconds: float | None = None) -> bool:
        """See Stop."""
        self.waits += 1
        if self.waits == _MOST_WAITS:
            self.set()
        return super().wait(seconds)


class Lived:
    """A topic of two partitions, and its backup, step by step."""

    def __init__(self, directory: Path, time: Time, broker: Broker) -> None:
        self.time, self.broker = time, broker
        self.happens: dict[str, Callable[[], None]] = {}
        self.log = KafkaLog(KafkaUrl.parse("kafka://simulated/topic"), "group", ProcessClock(time))
        self.archive = Archive(Storage(str(directory / "backup")), "topic")
        spool = directory / "spool"
        spool.mkdir()
        stop, clock = cast("threading.Event", StopLater(time)), ProcessClock(time)
        self.backup = Backup(
            self.log, self.archive, spool, limits=Limits(1 << 20, 3), file_format="jsonl", stop=stop, clock=clock
        )

    def put(self, *values: bytes) -> None:
        """A record of each partition."""
        for value in values:
            for partition in range(len(self.broker.partitions)):
                self.broker.append(None, value, None, partition, self.time.now_ms())

    def make_anew(self, partitions: int = 1) -> None:
        """And put as many records into each."""
        self.broker.delete(keeps_commits=True)
        self.broker.make(partitions)
        self.put(b"new", b"newer", b"newest")

    def goes_on(self, steps: int = 60) -> None:
        """For half a minute, or more."""
        for _ in range(steps):
            self.time.wait(0.5)
            self.backup._step()

    def kept(self) -> dict[tuple[int, int], int]:
        """How many records are in files, by generation and partition."""
        counts: dict[tuple[int, int], int] = {}
        for entry in self.archive.manifest.entries():
            part = entry.generation, entry.partition
            counts[part] = counts.get(part, 0) + entry.records
        return counts


@pytest.fixture
def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lived]:
    monkeypatch.setattr(Backup, "on_step", staticmethod(lambda step: made.happens.pop(step, lambda: None)()))
    time = Time()
    broker = Broker("topic", 2, time.now_ms, wait=time.wait)
    with clients_of(broker, time.now_ms):
        made = Lived(tmp_path, time, broker)
        yield made
        made.backup._reader.close()
        made.backup._encoder.close()
        made.backup._closing.shutdown()


def _once(monkeypatch: pytest.MonkeyPatch, name: str, happens: Callable[[], None]) -> None:
    """It happens when this method of the reader is called first."""
    call = getattr(KafkaFullReader, name)

    def wrapped(*args: Any) -> Any:
        monkeypatch.setattr(KafkaFullReader, name, call)
        happens()
        return call(*args)

    monkeypatch.setattr(KafkaFullReader, name, wrapped)


def test_a_missing_partition_waits_alone(lived: Lived) -> None:
    """The backup asked where it begins, until the group would take it away, and kept nothing of the others."""
    lived.put(b"old", b"older")
    lived.goes_on()
    lived.make_anew()
    lived.goes_on()
    assert lived.kept() == {(1, 0): 2, (1, 1): 2, (2, 0): 3}
    assert lived.backup._is_caught_up()


def test_it_is_kept_once_it_is_there(lived: Lived) -> None:
    """Although the group changes nothing: its members have it."""
    lived.put(b"old", b"older")
    lived.goes_on()
    lived.make_anew(1)
    lived.goes_on()
    lived.make_anew(2)
    lived.goes_on()
    assert lived.kept() == {(1, 0): 2, (1, 1): 2, (2, 0): 3, (3, 0): 3, (3, 1): 3}
    assert lived.backup._is_caught_up()


@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("when", ["closing", "closed", "claimed", "claimed the end", "identity", "claim", "left_from", "bounds"])
def test_the_topic_may_be_made_anew_at_any_step_and_call(
    lived: Lived, monkeypatch: pytest.MonkeyPatch, when: str, partitions: int
) -> None:
    """A call that the new topic never answers is not repeated for good. What was in files of the former one is kept."""
    lived.goes_on(1)
    if when != "bounds":  # which are asked of partitions that had nothing
        lived.put(b"old", b"older")
        for partition in lived.broker.partitions:
            partition.records[1] = partition.records[1]._replace(offset=2)
    if when in dir(KafkaFullReader):
        _once(monkeypatch, when, lambda: lived.make_anew(partitions))
    lived.happens[when] = lambda: lived.make_anew(partitions)
    if when == "bounds":
        lived.backup._is_caught_up()
    lived.goes_on()
    kept = lived.kept()
    assert {part: count for part, count in kept.items() if part[0] == 2} == {(2, part): 3 for part in range(partitions)}
    if when not in {"identity", "left_from", "bounds"}:
        assert (kept[1, 0], kept[1, 1]) == (2, 2)
    assert lived.backup._is_caught_up()

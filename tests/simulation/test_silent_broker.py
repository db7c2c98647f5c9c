"""A broker that falls silent while partitions are being assigned: it is said, nothing is read, and a stop signal ends the waiting."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.errors import Unavailable
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import Backup
from devicesync.log.kafka import KafkaLog, KafkaUrl
from tests.contract.test_full_log import Listener, offsets, take
from tests.simulation.clocks import ProcessClock, Stop, Time
from tests.simulation.kafka_broker import Broker
from tests.simulation.kafka_client import clients_of

if TYPE_CHECKING:
    import threading

SAID = "Kafka is unreachable, simulated:9092: "


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def broker(time: Time) -> Iterator[Broker]:
    broker = Broker("topic", 1, time.now_ms, wait=time.wait)
    with clients_of(broker, time.now_ms):
        yield broker


@pytest.fixture
def log(broker: Broker, time: Time) -> KafkaLog:
    log = KafkaLog(KafkaUrl.parse(f"kafka://simulated/{broker.topic}"), "group", ProcessClock(time))
    log.append([b"a", b"b"])
    return log


def test_nothing_is_read_before_it_is_known_what_is_claimed(broker: Broker, log: KafkaLog, time: Time) -> None:
    """Each poll says who does not answer, within 10 s, which is what a stop signal may take; the first one with an answer goes on."""
    listener = Listener(start=1)
    with closing(log.full_reader("backup", listener)) as reader:
        broker.is_silent = True
        for _ in range(3):
            began = time.now_s()
            with pytest.raises(Unavailable, match=SAID):
                reader.poll(10, 0)
            assert time.now_s() - began <= 10
            reader.keep_alive()
        assert listener.claims == []
        broker.is_silent = False
        assert offsets(take(reader, 1)) == [1]
        assert len(listener.claims) == 1


def test_what_was_lost_before_it_was_read_is_forgotten(broker: Broker, log: KafkaLog) -> None:
    """The group takes partitions from a member that it does not hear; the next poll joins anew."""
    listener = Listener()
    with closing(log.full_reader("backup", listener)) as reader:
        broker.is_silent = True
        with pytest.raises(Unavailable, match=SAID):
            reader.poll(10, 0)
        broker.is_silent = False
        (group,) = broker.groups.values()
        group.remove(*group.members)
        reader.keep_alive()
        assert listener.revoked == [0]
        assert offsets(take(reader, 2)) == [0, 1]


class StopAtOnce(Stop):
    """A stop signal comes when the job first waits."""

    def wait(self, seconds: float | None = None) -> bool:
        """See Stop."""
        self.set()
        return super().wait(seconds)


def test_a_backup_says_it_and_ends_when_it_is_told_to(broker: Broker, log: KafkaLog, tmp_path: Path, time: Time) -> None:
    """Of the partition nothing is in the archive, and nothing is claimed."""
    archive = Archive(Storage(str(tmp_path / "backup")), log.topic)
    spool = tmp_path / "spool"
    spool.mkdir()
    stop, clock = cast("threading.Event", StopAtOnce(time)), ProcessClock(time)
    backup = Backup(log, archive, spool, limits=Limits(1 << 20, 60), file_format="jsonl", stop=stop, clock=clock)
    broker.is_silent = True
    with capture_logs() as said:
        backup.run()
    assert said[0]["reason"].startswith(SAID)
    assert said[0]["since"]
    assert said[-1]["event"].startswith("stopped while waiting")
    assert archive.manifest.entries() == []
    assert broker.group("group.backup").commits == 0

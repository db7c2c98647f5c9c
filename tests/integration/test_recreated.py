"""A topic that is deleted and made anew under its readers: its records are all read, whatever was committed of the former one."""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
import structlog
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.clock import SystemClock
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import Backup
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.beginning import Beginning
from devicesync.log.kafka.identity import Note, noted
from devicesync.log.kafka.lag import group_lag
from devicesync.log.kafka.overtaken import overtaken
from devicesync.log.kafka.survey import survey
from tests import servers
from tests.end_to_end.command import Devicesync, stopped, until
from tests.integration.real import commands_over

SECONDS = 30.0


class Named(NamedTuple):
    """A store with this identity. See log.full.Store."""

    identity: str

    def applied(self, log: str) -> None:
        pass

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        pass


OLD, NEW = [b"old %d" % number for number in range(20)], [b"new %d" % number for number in range(60)]


def _identity_of(topic: KafkaUrl) -> str:
    """Of the topic now; nothing while the broker does not know it yet."""
    try:
        return survey(topic).identity
    except Unavailable:
        return ""


class Clock(SystemClock):
    """The machine's, set forth now and then."""

    ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds


class Topic:
    """A topic, and a group."""

    def __init__(self, partitions: int = 1) -> None:
        name = servers.unused_name("recreated")
        self.clock = Clock()
        self.url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}")
        self.log = KafkaLog(self.url, group=name, clock=self.clock)
        create_topics(self.url, partitions)

    def make_anew(self, partitions: int = 1, values: Sequence[bytes] = NEW) -> None:
        """With more records than it had, or these."""
        before = survey(self.url).identity
        admin = AdminClient(self.url.client)
        admin.delete_topics([self.url.topic])[self.url.topic].result(10)
        until(lambda: self.url.topic not in admin.list_topics(timeout=10).topics)
        create_topics(self.url, partitions)
        until(lambda: _identity_of(self.url) not in ("", before))
        KafkaLog(self.url, group="").append(values)

    def drop_first(self, count: int) -> None:
        """As retention does it."""
        admin = AdminClient(self.url.client)
        (dropped,) = admin.delete_records([TopicPartition(self.url.topic, 0, count)]).values()
        dropped.result()

    def take(self, reader: KafkaReader, wanted: list[bytes]) -> None:
        """Read until all of these are read, and commit."""
        left, deadline = {*wanted}, time.monotonic() + SECONDS
        while left and time.monotonic() < deadline:
            left -= {record.value for record in reader.poll(100, 0.2) if record.value}
            self.clock.ahead_seconds += 1
            reader.commit()
        assert left == set()

    @staticmethod
    def has_caught_up(reader: KafkaReader) -> bool:
        """When it has nothing to read any more."""
        is_idle = not reader.poll(100, 0.2)
        reader.commit()
        return is_idle and reader.caught_up()


@pytest.fixture
def topic() -> Iterator[Topic]:
    made = Topic()
    yield made
    made.log.close()


def test_a_reader_begins_anew_while_it_runs(topic: Topic) -> None:
    """Although the new topic is longer than the place where it was; and then it has caught up."""
    topic.log.append(OLD)
    reader = topic.log.reader("updater")
    topic.take(reader, OLD)
    reader.keep_alive()  # it reads no more until the new topic is longer
    topic.make_anew()
    assert not reader.caught_up()
    topic.take(reader, NEW)
    until(lambda: topic.has_caught_up(reader))
    reader.close()


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_a_topic_made_anew_may_have_other_partitions(partitions: int) -> None:
    """With fewer, the reader went for the missing ones for good, and read nothing of the others."""
    topic = Topic(partitions=4)
    topic.log.append(OLD)
    with closing(topic.log.reader("updater")) as reader:
        topic.take(reader, OLD)
        topic.make_anew(partitions)
        topic.take(reader, NEW)
        KafkaLog(topic.url, group="").append(more := [b"more %d" % number for number in range(60)])
        topic.take(reader, more)
        until(lambda: topic.has_caught_up(reader))
    topic.log.close()


def test_a_partition_that_the_new_topic_lacks_holds_up_no_other() -> None:
    """A group gives it to a member as long as it knows the former topic. A backup asked where it begins, and read nothing."""
    topic = Topic(partitions=2)
    begun: list[int] = []
    admin = AdminClient(topic.url.client)
    beginning = Beginning(topic.url.topic, lambda: admin, topic.clock, lambda led: begun.extend(each.partition for each in led))
    beginning.add([TopicPartition(topic.url.topic, partition) for partition in (3, 0)])
    beginning.begin(mock.Mock())
    assert begun == [0]
    assert beginning.forget({0, 3}) == {3}
    topic.log.close()


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_backup_of_a_topic_that_is_made_anew_with_other_partitions(tmp_path: Path, partitions: int) -> None:
    """What was open of the missing ones is kept, and all of the new topic."""
    topic = Topic(partitions=4)
    manifest = Archive(Storage(str(tmp_path / "backup")), topic.url.topic).manifest
    for devicesync in commands_over(topic.url, tmp_path):
        running = devicesync.start("backup", "run", "--to", "backup", "--max-file-seconds", "1")
        topic.log.append(OLD)
        until(lambda: sum(entry.records for entry in manifest.entries()) == len(OLD))
        topic.make_anew(partitions)
        until(lambda: sum(entry.records for entry in manifest.entries()) == len(OLD) + len(NEW))
        assert stopped(running) == 0
    topic.log.close()


def test_each_of_two_backups_has_a_partition_that_the_new_topic_lacks(tmp_path: Path) -> None:
    """Each asked for good where that begins, and kept nothing of its other one: the group leaves them as they are."""
    topic = Topic(partitions=4)
    archive, stop = Archive(Storage(str(tmp_path / "backup")), topic.url.topic), threading.Event()
    backups = []
    for name in "ab":
        (spool := tmp_path / name).mkdir()
        limits = Limits(1 << 20, 1)
        backups.append(Backup(topic.log, archive, spool, limits=limits, file_format="jsonl", stop=stop, clock=topic.clock))
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(backup.run) for backup in backups]
        try:
            until(lambda: [len(backup._parts) for backup in backups] == [2, 2])
            topic.log.append(OLD)
            until(lambda: sum(entry.records for entry in archive.manifest.entries()) == len(OLD))
            topic.make_anew(1)
            topic.clock.ahead_seconds += 11
            until(lambda: sum(entry.records for entry in archive.manifest.entries()) == len(OLD) + len(NEW))
        finally:
            stop.set()
        assert [end.result(SECONDS) for end in ends] == [None, None]
    topic.log.close()


def test_a_database_made_anew_gets_the_topic_again(topic: Topic) -> None:
    """And is not caught up before, although the group has committed all. One that is the same gets nothing again."""
    topic.log.append(OLD)
    for store, wanted in (("one", OLD), ("one", []), ("another", OLD), ("", [])):
        with closing(topic.log.reader("updater")) as reader, structlog.testing.capture_logs() as told:
            reader.bind(Named(store))
            assert reader.caught_up() is not bool(wanted)
            topic.take(reader, wanted)
            until(partial(topic.has_caught_up, reader))
        assert [line["partitions"] for line in told if "another" in line["event"]] == [[0]] * (store == "another")


def test_an_older_copy_of_a_sqlite_file_gets_what_came_after_it(topic: Topic, tmp_path: Path) -> None:
    """And is not caught up before. The file itself keeps up to where it has each partition, until it is closed."""
    file = tmp_path / "devices.db"
    told: list[list[list[int]]] = []
    for wanted, is_older in ((OLD, False), ([], False), (NEW, False), ([], False), (NEW, True), ([], False)):
        if wanted and not is_older:
            topic.log.append(wanted)
        if is_older:
            shutil.move(tmp_path / "copy.db", file)
        with (
            structlog.testing.capture_logs() as said,
            closing(SqliteDatabase(file)) as database,
            closing(topic.log.reader("updater")) as reader,
        ):
            reader.bind(database)
            taken = {record.value for _ in range(20) for record in reader.poll(100, 0.2)}
            assert taken == {*wanted}
            reader.commit()
            until(partial(topic.has_caught_up, reader))
            told.append([line["partitions"] for line in said if "an older copy" in line["event"]])
        if wanted == OLD:
            shutil.copy(file, tmp_path / "copy.db")
    assert told == [[], [], [], [], [[0]], []]


def test_a_file_of_a_release_that_kept_no_place_in_a_topic_gets_nothing_again(topic: Topic, tmp_path: Path) -> None:
    """An upgrade applies no topic again: the commits of that release are believed."""
    topic.log.append(OLD)
    with closing(SqliteDatabase(tmp_path / "devices.db")) as database:
        with closing(topic.log.reader("updater")) as reader:
            reader.bind(Named(database.identity))
            topic.take(reader, OLD)
        with closing(topic.log.reader("updater")) as reader:
            reader.bind(database)
            assert not any(reader.poll(100, 0.2) for _ in range(20))


def test_what_a_database_made_anew_can_not_get_again_is_told(topic: Topic) -> None:
    """The topic's retention has dropped it."""
    topic.log.append(OLD)
    with closing(topic.log.reader("updater")) as reader:
        reader.bind(Named("one"))
        topic.take(reader, OLD)
    topic.drop_first(5)
    with closing(topic.log.reader("updater")) as reader:
        reader.bind(Named("another"))
        topic.take(reader, OLD[5:])
        assert reader.lost == 5


def test_a_commit_that_names_no_database_is_believed(topic: Topic) -> None:
    """An older updater has made it: an upgrade applies no topic again."""
    topic.log.append(OLD)
    with closing(topic.log.reader("updater")) as reader:
        topic.take(reader, OLD)
    with closing(topic.log.reader("updater")) as reader:
        reader.bind(Named("one"))
        assert reader.caught_up()
        assert not any(reader.poll(100, 0.2) for _ in range(20))


def test_a_deleted_sqlite_file_gets_the_topic_again(tmp_path: Path) -> None:
    """And `doctor` says so before."""
    name = servers.unused_name("recreated")
    devicesync = Devicesync(tmp_path)
    places = ("--log", f"kafka://127.0.0.1:{servers.kafka().port}/{name}", "--database", f"sqlite:{tmp_path}/devices.db")
    devicesync.run("init", *places)
    log = KafkaLog(KafkaUrl.parse(places[1]), group=name)
    log.append([b'{"device_id":"d","version":%d}' % (time.time_ns() // 1000)])
    log.close()
    assert devicesync.json("update", "--until-caught-up", *places)["applied"] == 1
    assert devicesync.json("update", "--until-caught-up", *places)["applied"] == 0
    assert b"database is another" not in devicesync.run("doctor", *places).stdout
    for file in tmp_path.glob("devices.db*"):
        file.unlink()
    devicesync.run("init", *places)
    assert b"database is another" in devicesync.run("doctor", *places).stdout
    assert devicesync.json("update", "--until-caught-up", *places)["applied"] == 1
    assert devicesync.json("get", "d", *places)["profile"] is not None
    assert b"database is another" not in devicesync.run("doctor", *places).stdout


def test_the_next_reader_believes_no_commit_of_the_former_topic(topic: Topic) -> None:
    """One that was not told has committed its place in the new one."""
    topic.log.append(OLD)
    reader = topic.log.reader("updater")
    topic.take(reader, OLD)
    topic.make_anew()
    reader._due = {0: len(OLD)}
    reader._commit_due()
    reader.close()
    assert group_lag(topic.url, topic.url.topic).records == len(NEW)
    after = topic.log.reader("updater")
    topic.take(after, NEW)
    after.close()


@pytest.mark.parametrize("forgets", [False, True])
def test_what_retention_dropped_of_the_new_topic_is_told(topic: Topic, monkeypatch: pytest.MonkeyPatch, *, forgets: bool) -> None:
    """By a reader that was there, and by one that comes later: a commit of the former topic says nothing of these records."""
    topic.log.append(OLD)
    reader = topic.log.reader("updater")
    topic.take(reader, OLD)
    reader.keep_alive()  # it fetches nothing ahead
    topic.make_anew()
    topic.drop_first(10)
    with monkeypatch.context() as patch:
        if forgets:  # Kafka drops a deleted topic's commits, sooner or later
            patch.setattr(reader._member, "committed", lambda of: [TopicPartition(topic.url.topic, each) for each in of])
        topic.take(reader, NEW[10:])
    assert reader.lost == 10
    was = noted(topic.url.topic, 0, len(NEW), Note(reader._identities[0]))
    topic.make_anew()
    topic.drop_first(20)
    until(lambda: reader._member.commit([was]))  # one that was not told
    reader.close()
    assert overtaken(topic.url, topic.url.topic) == (20, 0)
    after = topic.log.reader("updater")
    topic.take(after, NEW[20:])
    assert after.lost == 20
    after.close()

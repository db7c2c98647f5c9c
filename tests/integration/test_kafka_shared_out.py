"""What a group does with a member's partitions while the member waits for a store."""

import time
from contextlib import closing, suppress

from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.member import Member
from devicesync.log.kafka.standing import Standing
from devicesync.log.port import Record
from tests import servers
from tests.end_to_end.command import until

VALUES = [b"%d" % number for number in range(100)]
"""Their keys too, so that both partitions get some."""


def test_a_partition_that_left_while_it_was_paused_is_read_when_it_is_back() -> None:
    """Kafka's client keeps a partition's pause beyond the assignment."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/shared-out")
    create_topics(url, partitions=2)
    log = KafkaLog(url, "shared-out")
    log.append(VALUES, VALUES)
    waiting, other = KafkaReader(url, "shared-out"), KafkaReader(url, "shared-out")
    first = _read(waiting, 100)
    assert {record.partition for record in first} == {0, 1}
    waiting.commit()
    waiting.keep_alive()
    until(lambda: bool(_shared(waiting, other)))
    other.close()
    until(lambda: not waiting.poll(1, 0.1) and _partitions(waiting) == 2)
    log.append(VALUES, VALUES)
    assert {record.partition for record in _read(waiting, 100)} == {0, 1}
    waiting.close()
    log.close()


def test_a_member_that_leaves_looks_at_no_new_partitions() -> None:
    """What it would ask of Kafka then gets no answer: a backup that was stopped in that moment ended with an error 10 s later."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/left")
    create_topics(url, partitions=2)
    assigned: list[int] = []
    member = Member(
        url,
        "left",
        on_assigned=lambda positions: assigned.extend(position.partition for position in positions),
        on_revoked=lambda gone: None,
    )
    until(lambda: has_asked(member))
    until(lambda: _members_of("left", url) == 1)
    time.sleep(1)  # so that its partitions are known to the client, which tells of them at the next call
    member.close()
    assert assigned == []


def has_asked(member: Member) -> bool:
    """Whether it could ask for a place in its group; a broker may not know a new topic at once."""
    try:
        member.poll(1, 0)
    except Unavailable:
        return False
    return True


def test_what_came_during_a_commit_counts_as_lag() -> None:
    """The client has handed it out, and nobody has polled it."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/kept")
    create_topics(url, partitions=1)
    with closing(KafkaLog(url, "kept")) as log:
        log.append(VALUES, VALUES)
    member = Member(url, "kept", on_revoked=lambda gone: None)
    until(lambda: bool(member.poll(1, 1)))

    def has_kept() -> bool:
        member._serve()  # as a commit does
        return len(member._kept) >= 10

    until(has_kept)
    assert sum(Standing(member, SYSTEM).unread().values()) == len(VALUES) - 1
    member.close()


def test_a_partition_that_was_taken_away_before_it_could_be_read() -> None:
    """Its owner could not learn where to begin. The other one reads it, and gives it back when it leaves; nothing comes twice."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/unread")
    create_topics(url, partitions=2)
    with closing(KafkaLog(url, "unread")) as log:
        log.append(VALUES, VALUES)
    given, gone, read, waits = set[int](), set[int](), list[Message](), [True]

    def begin(positions: list[TopicPartition]) -> None:
        given.update(position.partition for position in positions)
        if waits:
            raise Unavailable("the archive is away")

    waiting = Member(url, "unread", on_assigned=begin, on_revoked=gone.update)
    other = Member(url, "unread", on_revoked=lambda gone: None)

    def is_given(partitions: int) -> bool:
        with suppress(Unavailable):
            read.extend(waiting.poll(1, 0.1))
        waiting.keep_alive()
        return len(given) == partitions

    until(lambda: is_given(2))
    until(lambda: is_given(2) and other.poll(200, 0.1))
    assert len(gone) == len(other.consumer.assignment()) == 1
    assert not read
    assert waiting.consumer.assignment() == []
    other.close()
    waits.clear()

    def all_read() -> bool:
        read.extend(waiting.poll(200, 0.1))
        return len(read) >= 100

    until(all_read)
    assert sorted(message.value() or b"" for message in read) == sorted(VALUES)
    waiting.close()


def _members_of(group: str, url: KafkaUrl) -> int:
    admin = AdminClient(url.client)
    found = admin.describe_consumer_groups([group])[group].result()
    return sum(bool(member.assignment.topic_partitions) for member in found.members)


def _shared(waiting: KafkaReader, other: KafkaReader) -> bool:
    other.poll(1, 0.1)
    waiting.keep_alive()
    return _partitions(waiting) == _partitions(other) == 1


def _partitions(reader: KafkaReader) -> int:
    return len(reader._member.consumer.assignment())


def _read(reader: KafkaReader, count: int) -> list[Record]:
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(count, 0.1))
        return len(records) >= count

    until(enough)
    return records

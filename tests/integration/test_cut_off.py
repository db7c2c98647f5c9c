"""Kafka's client loses its broker for good, as in librdkafka's issue 5301: a new one takes its place, and nothing is lost.

That happens once in some 200 restarts of a broker. Here a client that was given a dead address stands for one.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from unittest.mock import Mock

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from devstack.server import free_ports

from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience
from devicesync.log.full import Claim, FullRecord
from devicesync.log.kafka import KafkaLog, KafkaUrl, commits, contact, delivery
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.forward import KafkaForward
from devicesync.log.kafka.full import KafkaFullReader
from devicesync.log.kafka.member import Member
from devicesync.log.kafka.reader import KafkaReader
from tests import servers
from tests.end_to_end.command import until

PARTITIONS = 2


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaLog]:
    """A topic of its own; whoever reaches nobody knows it soon."""
    for name, seconds in (("_SILENCE_SECONDS", 0.5), ("_TIMEOUT_SECONDS", 2.0), ("_PATIENCE_SECONDS", 1.0)):
        monkeypatch.setattr(contact, name, seconds)
    monkeypatch.setattr(commits, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 1.0)
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('cut-off')}")
    create_topics(url, partitions=PARTITIONS)
    with closing(KafkaLog(url, url.topic)) as log:
        yield log


def nowhere() -> dict[str, str]:
    (port,) = free_ports(1)
    return {"bootstrap.servers": f"127.0.0.1:{port}"}


def cut_off(member: Member) -> None:
    """Its group hears nothing of it any more, and has given its partitions away; it does not know that."""
    lost, owned = Consumer(member._settings | nowhere()), {*member._owned}
    lost.assign(member.consumer.assignment())
    member.consumer.close()
    member.consumer, member._owned = lost, owned


def values_of(reader: KafkaReader | KafkaFullReader, count: int) -> list[bytes | None]:
    """The next so many values; whatever is away is waited for."""
    found: list[bytes | None] = []
    while len(found) < count:
        with suppress(Unavailable):
            if isinstance(reader, KafkaReader):
                found += [record.value for record in reader.poll(10, 0.2)]
            else:
                found += [record[3] for records in reader.poll(10, 0.2).values() for record in records]
    return found


def test_an_updater_goes_on(log: KafkaLog) -> None:
    """Where it was: what it has committed is not read again."""
    with closing(log.reader("updater")) as reader:
        log.append([b"a", b"b", b"c"])
        assert sorted(filter(None, values_of(reader, 3))) == [b"a", b"b", b"c"]
        reader.commit()
        reader.poll(1, 0.2)  # with nothing to read what is due is committed
        cut_off(reader._member)
        log.append([b"d"])
        assert values_of(reader, 1) == [b"d"]
        assert reader.poll(10, 0.5) == []


@pytest.mark.parametrize("rebalances", [False, True])
def test_a_consumer_that_finds_kafka_again_takes_nothing(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch, *, rebalances: bool
) -> None:
    """As one whose connection to the coordinator is new: nobody read for it, and its partitions stood still for five minutes.

    Where the group waited for its answer, the others could not commit either.
    """
    with closing(log.reader("updater")) as reader, closing(log.reader("updater")) as other:
        log.append([b"a"])
        values_of(reader, 1)
        member, old, look = reader._member, reader._member.consumer, contact.look

        def no_answer_to_the_old(client: contact.Client, url: KafkaUrl, trouble: str = "") -> None:
            if client is old:
                raise Unavailable("cut off")
            look(client, url, trouble)

        monkeypatch.setattr(contact, "look", no_answer_to_the_old)
        for _ in range(30 if rebalances else 0):
            other.poll(1, 0.1)

        def is_shared() -> bool:
            for each in (reader, other) if rebalances else (reader,):
                with suppress(Unavailable):
                    each.poll(1, 0.2)
            owned = [member._owned, other._member._owned]
            return member.consumer is not old and [*map(len, owned)] == ([1, 1] if rebalances else [2, 0])

        until(is_shared)


@contextmanager
def backup_that_is_cut_off(log: KafkaLog, listener: Mock) -> Iterator[KafkaFullReader]:
    """It has read the one record, and claimed nothing. The listener is told of what comes after that."""
    listener.on_assigned.return_value = 0
    with closing(log.full_reader("backup", listener)) as reader:
        log.append([b"a"])
        values_of(reader, 1)
        cut_off(reader._member)
        listener.reset_mock()
        yield reader


def test_a_backup_goes_on(log: KafkaLog) -> None:
    """It learns that its partitions are gone, and is given them anew."""
    listener = Mock()
    with backup_that_is_cut_off(log, listener) as reader:
        assert values_of(reader, 1) == [b"a"]
        listener.on_revoked.assert_called_once_with({*range(PARTITIONS)})
        assert listener.on_assigned.call_count == PARTITIONS


def test_what_waits_for_an_answer_gets_one(log: KafkaLog) -> None:
    """Nobody polls meanwhile. What it would have committed is not its own any more, and is not committed."""
    with backup_that_is_cut_off(log, Mock()) as reader:
        patience = Patience(threading.Event(), reader.keep_alive)
        claims = {partition: Claim("", 1, None) for partition in range(PARTITIONS)}
        assert not patience.until_it_works(reader.claim, claims)
        assert [each.offset for each in reader._member.committed(range(PARTITIONS))] == [-1001] * PARTITIONS
        assert not patience.until_it_works(reader.caught_up)


def test_an_admin_client_is_made_anew(log: KafkaLog) -> None:
    """Its consumer stays as it is."""
    with closing(log.reader("updater")) as reader:
        log.append([b"a"])
        values_of(reader, 1)
        consumer = reader._member.consumer
        reader._member._contact.admin = AdminClient({**nowhere(), "log_level": 2})
        log.append([b"b"])
        assert values_of(reader, 1) == [b"b"]
        patience = Patience(threading.Event(), reader.keep_alive)
        patience.until_it_works(reader.caught_up)
        assert reader._member.consumer is consumer


@pytest.mark.usefixtures("log")
def test_a_check_takes_no_record_from_an_enricher() -> None:
    """/readyz asks in another thread. It gave the client up with what was on its way, and nobody heard that this failed."""
    source, target = (
        KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}") for name in ("cut-off-in", "cut-off-out")
    )
    create_topics(source, partitions=1)
    records: dict[int, list[FullRecord]] = {0: [(0, None, b"key", b"value", [])]}
    with closing(KafkaForward(source, target)) as forward:
        forward.open()
        forward._producer._client = Producer(forward._producer._settings | nowhere() | {"delivery.timeout.ms": 500})
        forward.offer(records)
        with pytest.raises(Unavailable):
            forward.check()
        with pytest.raises(Unavailable):
            forward.put(records)
        assert forward.put(records) == []
    with closing(KafkaLog(target, "reader")) as written:
        assert [record.value for record in written.newest(10)] == [b"value"]


def test_a_producer_is_made_anew(log: KafkaLog) -> None:
    """What failed is not acknowledged. The next one works; so does a check."""

    def append() -> None:
        log.append([b"a"])

    for works in (append, log.check):
        log._producer._client = Producer(log._producer._settings | nowhere() | {"delivery.timeout.ms": 500})
        with pytest.raises(Unavailable):
            works()
        works()

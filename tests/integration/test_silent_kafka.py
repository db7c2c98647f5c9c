"""A Kafka that accepts connections, and says nothing, or says it late: no client is thrown away too soon, and each is freed then."""

import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from devicesync.clock import SystemClock
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaUrl, bounds, contact, identity
from devicesync.log.kafka.contact import Client, Contact, CutOff
from devicesync.log.port import Partitions

SECONDS = 0.1


class Clock(SystemClock):
    """It stands still."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaUrl]:
    """Of a Kafka that never answers."""
    monkeypatch.setattr(contact, "_TIMEOUT_SECONDS", SECONDS)
    monkeypatch.setattr(identity, "_TIMEOUT_SECONDS", SECONDS)
    monkeypatch.setattr(bounds, "TIMEOUT_SECONDS", SECONDS)
    monkeypatch.setattr(bounds, "partitions_of", lambda *_: Partitions(1, frozenset()))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield KafkaUrl.parse(f"kafka://127.0.0.1:{server.getsockname()[1]}/t")


def test_an_admin_client_has_its_time(url: KafkaUrl) -> None:
    """Where a new connection took 6 s, each client was thrown away after 5, and all stood still."""
    clock = Clock()
    contact = Contact(url, clock)

    def is_kept_after(seconds: float) -> bool:
        before, clock.now = contact.admin, clock.now + seconds
        with pytest.raises(Unavailable):
            contact.check_kafka()
        return contact.admin is before

    assert [is_kept_after(seconds) for seconds in (0, 14, 1, 0, 14, 1)] == [True, True, False, True, True, False]


def test_each_consumer_has_its_time(url: KafkaUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first one that was cut off the next were made anew every 5 s."""
    clock = Clock()
    contact_ = Contact(url, clock)
    consumer = Consumer(url.client | {"group.id": "g"})

    def reaches(client: Client, url: KafkaUrl, trouble: str = "") -> None:
        del url, trouble
        if client is consumer:
            raise Unavailable("nobody")

    def is_cut_off_after(seconds: float) -> bool:
        clock.now += seconds
        with pytest.raises(Unavailable) as raised:
            contact_.check(consumer)
        return isinstance(raised.value, CutOff)

    monkeypatch.setattr(contact, "look", reaches)
    assert [is_cut_off_after(seconds) for seconds in (0, 14, 1, 5, 14, 1)] == [False, False, True, False, False, True]
    consumer.close()


def identity_of(admin: AdminClient) -> None:
    identity.identity_of(admin, "t")


def firsts(admin: AdminClient) -> None:
    bounds.firsts(admin, "t", [0])


@pytest.mark.parametrize("ask", [identity_of, firsts])
def test_a_client_that_got_no_answer_is_freed(url: KafkaUrl, ask: Callable[[AdminClient], None]) -> None:
    """Its threads and descriptors, too: a backup had four and five more for each that was made beside a frozen Kafka."""
    admin = AdminClient(url.client)
    freed = weakref.ref(admin)
    with suppress(Unavailable, KafkaException):
        ask(admin)
        pytest.fail("answered")
    del admin
    assert freed() is None

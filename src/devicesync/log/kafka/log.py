"""Kafka as the log: produced with acks=all and idempotence, keyed as Java's clients do it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from confluent_kafka import KafkaException

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.full import FullRecord, RebalanceListener, Survey
from devicesync.log.kafka.delivery import Outgoing, deliver
from devicesync.log.kafka.full import KafkaFullReader
from devicesync.log.kafka.leaders import partition_of, partitions_of
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.reader import KafkaReader
from devicesync.log.kafka.survey import newest, records, survey, taken_since
from devicesync.log.kafka.url import KafkaUrl, failures
from devicesync.log.port import Headers, Partitions, Record

_TIMEOUT_SECONDS = 5.0


def group_of(group: str, reader: str) -> str:
    """The consumer group of readers of that name."""
    return group if reader == "updater" else f"{group}.{reader}"


class KafkaLog:
    """See port.Log. `group`: the consumer group of readers; a reader's name is added to it, except the updater's."""

    def __init__(self, url: KafkaUrl, group: str, clock: Clock = SYSTEM) -> None:
        self._url = url
        self._clock = clock
        self.source = self.topic = url.topic
        self._group = group
        self._producer = Producer(url)
        self._taken_ms: int | None = None

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> None:
        """See port.Log. Records of one key keep their order: they go to one partition."""
        none = (None,) * len(values)
        outgoing = [Outgoing(*record) for record in zip(values, keys or none, headers or none, strict=True)]
        with failures("append to"):
            self._taken_ms = deliver(self._producer, self._url.topic, outgoing)

    def partitions(self) -> Partitions:
        """See port.Log."""
        with failures("ask"):
            return partitions_of(self._producer.client(), self._url.topic, _TIMEOUT_SECONDS)

    def partition_of(self, key: bytes, count: int) -> int:
        """See port.Log."""
        return partition_of(key, count)

    def taken_ms(self) -> int | None:
        """See port.Log; known where the topic has the broker's time (LogAppendTime), as `init` sets it."""
        return self._taken_ms

    def newest(self, count: int) -> Iterator[Record]:
        """See port.Log."""
        return newest(self._url, count)

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        """See port.Log."""
        return taken_since(self._url, ms, count, seen, but)

    def check(self) -> None:
        """See port.Log: whether Kafka answers and has the topic."""
        try:
            self._producer.check()
        except Unavailable:
            self._producer.reconnect()
            raise

    def reader(self, name: str) -> "KafkaReader":
        """See port.Log."""
        return KafkaReader(self._url, group_of(self._group, name), self._clock)

    def full_reader(self, name: str, listener: RebalanceListener) -> KafkaFullReader:
        """See full.FullLog."""
        return KafkaFullReader(self._url, group_of(self._group, name), listener, self._clock)

    def survey(self) -> Survey:
        """See full.FullLog."""
        return survey(self._url)

    def records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        """See full.FullLog."""
        return records(self._url, partition, start, end)

    def close(self) -> None:
        """See port.Log."""
        with suppress(KafkaException):  # which `append` has told
            self._producer.flush()

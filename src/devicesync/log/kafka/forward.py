"""A topic that takes the records of another one, changed or not."""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from devicesync.errors import Unavailable, WrongUse
from devicesync.log.full import OFFSET, FullRecord
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX, DEAD_LETTERS
from devicesync.log.kafka.delivery import TooLarge
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.url import HINT, KafkaUrl, failures

_TIMEOUT_SECONDS = 10.0
Placed = tuple[int, FullRecord]


class KafkaForward:
    """See full.Forward. A topic with as many partitions keeps each record in its own; else the key decides, as in Java."""

    def __init__(self, source: KafkaUrl, target: KafkaUrl) -> None:
        """Raises WrongUse for one topic as both."""
        if (source.servers, source.topic) == (target.servers, target.topic):
            raise WrongUse(f"{source.topic} can't be read and written to at once", "name another topic to write to")
        self._source, self._target = source, target
        only_failures = {"delivery.report.only.error": True, "on_delivery": lambda error, _: self._failed.append(error)}
        self._producer = Producer(target, **only_failures)
        self._partitions = 0
        self._is_alike = self._is_offered = False
        self._is_counted = True  # until there is a record of a partition that the target has not: the source got more
        self._failed: list[KafkaError] = []

    def open(self) -> None:
        """Make the topic where it is missing, with as many partitions as the source, and the source's dead letters.

        Raises Unavailable, also where there is no source.
        """
        with failures("make topics in"):
            admin = AdminClient(self._source.client)
            found = admin.list_topics(timeout=_TIMEOUT_SECONDS)
            if self._source.topic not in found.topics:
                raise Unavailable(
                    f"Kafka at {self._source.servers} has no topic {self._source.topic}",
                    "make it, or name the one that telemetry is in",
                )
            partitions = len(found.topics[self._source.topic].partitions)
            _make(admin, self._source.topic + DEAD_LETTER_SUFFIX, 1, DEAD_LETTERS)
            self._partitions = _make(AdminClient(self._target.client), self._target.topic, partitions, {})
        self._is_alike = self._partitions == partitions
        self._is_counted = True

    def offer(self, records: Mapping[int, Sequence[FullRecord]]) -> None:
        """See full.Forward."""
        try:
            self._produce(self._placed(records))
        except KafkaException as error:
            self._failed.append(error.args[0])  # which `put` sees
        self._is_offered = True

    def put(self, records: Mapping[int, Sequence[FullRecord]]) -> list[tuple[int, int]]:
        """See full.Forward."""
        is_offered, self._is_offered = self._is_offered, False
        if not self._is_counted:
            self.open()
        with failures("append to"):
            if is_offered:
                try:
                    self._settle()
                except TooLarge:
                    return self._put(self._placed(records))
                return []
            return self._put(self._placed(records))

    def check(self) -> None:
        """Raise Unavailable unless Kafka answers and has the topic. Another thread may call it: it leaves the client as it is."""
        self._producer.check()

    def close(self) -> None:
        """Give back connections."""

    def _placed(self, records: Mapping[int, Sequence[FullRecord]]) -> list[Placed]:
        return [(partition, record) for partition, found in records.items() for record in found]

    def _put(self, placed: Sequence[Placed]) -> list[tuple[int, int]]:
        """By halves, where the topic takes no record of that size."""
        try:
            self._produce(placed)
            self._settle()
        except TooLarge:
            if len(placed) == 1:
                partition, record = placed[0]
                return [(partition, record[OFFSET])]
            half = len(placed) // 2
            return self._put(placed[:half]) + self._put(placed[half:])
        return []

    def _produce(self, placed: Sequence[Placed]) -> None:
        topic, is_alike = self._target.topic, self._is_alike

        def where(partition: int, key: bytes | None) -> int:
            return partition if is_alike else -1 if key is not None else partition % self._partitions

        try:
            self._producer.produce(
                (topic, value, key, where(partition, key), None, None, stamp_ms or 0, headers)
                for partition, (_, stamp_ms, key, value, headers) in placed
            )
        except KafkaException as error:
            self._is_counted = self._is_counted and _has_partition(error.args[0])
            raise

    def _settle(self) -> None:
        """Return when the brokers have everything. Raises Unavailable, TooLarge."""
        left = self._producer.flush()
        failed, self._failed = self._failed, []
        self._is_counted = self._is_counted and all(map(_has_partition, failed))
        if failed and all(error.code() == KafkaError.MSG_SIZE_TOO_LARGE for error in failed):
            raise TooLarge(f"{self._target.topic} in Kafka takes no records of that size", HINT)
        if failed or left:
            self._producer.reconnect()
            raise Unavailable(f"can't append to {self._target.topic} in Kafka: {failed[0].str() if failed else 'time-out'}", HINT)


def _has_partition(error: KafkaError) -> bool:
    """False for the error of a partition that the topic has not."""
    return error.code() != KafkaError._UNKNOWN_PARTITION  # noqa: SLF001 - librdkafka's own codes have this name


def _make(admin: AdminClient, topic: str, partitions: int, settings: Mapping[str, str]) -> int:
    """Make a topic where it is missing; how many partitions it has."""
    found = admin.list_topics(timeout=_TIMEOUT_SECONDS)
    if topic in found.topics:
        return len(found.topics[topic].partitions)
    replicas = min(3, len(found.brokers))
    try:
        wanted = NewTopic(topic, partitions, replicas, config=dict(settings))
        admin.create_topics([wanted], request_timeout=_TIMEOUT_SECONDS)[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        # Another one of us has just made it; what it has is seen at the next try.
        raise Unavailable(f"{topic} is just being made", HINT) from error
    return partitions

"""How far a consumer group is behind, seen from outside, without being a member of it."""

from confluent_kafka import Consumer, ConsumerGroupState, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM
from devicesync.log.kafka.bounds import ends
from devicesync.log.kafka.onlooker import all_bounds, committed_of, onlooker
from devicesync.log.kafka.reach import reach
from devicesync.log.kafka.url import KafkaUrl, failures
from devicesync.log.port import Lag

_TIMEOUT_SECONDS = 10.0
_NOBODY = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


def group_lag(url: KafkaUrl, group: str) -> Lag:
    """How far the group is behind in the topic. Raises Unavailable."""
    reach(url)
    with onlooker(url, group, "read_uncommitted") as consumer:
        records, unread = 0, []
        found = committed_of(consumer, url)
        for committed, (low, high) in found:
            begin = max(committed.offset, low)
            if high > begin:
                records += high - begin
                unread.append(TopicPartition(url.topic, committed.partition, begin))
        held = _held(url, {committed.partition: high for committed, (_, high) in found}) if unread else 0
        return Lag(records, _age_seconds(consumer, unread), is_read(url, group), held)


def _held(url: KafkaUrl, last: dict[int, int]) -> int:
    """How many records up to these ends no reader gets: they lie behind open transactions. Raises KafkaException."""
    admin = AdminClient(url.client)  # which has to live until the answer is there
    readable = ends(admin, url.topic, last, IsolationLevel.READ_COMMITTED)
    return sum(max(end - readable.get(partition, end), 0) for partition, end in last.items())


def is_read(url: KafkaUrl, group: str) -> bool:
    """Whether the group has members now. Raises Unavailable.

    Every broker is asked for its groups. Asking the group's own broker would abort this process (SIGABRT) when that broker goes
    away meanwhile: librdkafka's calls of AdminClient that a coordinator answers do (its pull request 5397).
    """
    with failures("ask"):
        admin = AdminClient(url.client)  # which has to live until the answer is there
        found = admin.list_consumer_groups(request_timeout=_TIMEOUT_SECONDS).result()
        is_read_of = {each.group_id: each.state not in _NOBODY for each in found.valid}
        if group not in is_read_of and found.errors:
            raise KafkaException(found.errors[0])  # of a broker that may know the group
        return is_read_of.get(group, False)


def record_count(url: KafkaUrl) -> int:
    """How many records the topic has, by its offsets. Raises Unavailable."""
    with onlooker(url) as consumer:
        return sum(high - low for low, high in all_bounds(consumer, url.topic).values())


def _age_seconds(consumer: Consumer, unread: list[TopicPartition]) -> float:
    """The age of the oldest record among the first ones unread."""
    oldest_ms = now_ms = SYSTEM.now_us() / 1000
    consumer.assign(unread)
    left = {position.partition for position in unread}
    deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
    while left and SYSTEM.monotonic() < deadline:
        for message in consumer.consume(1, 0.1):
            if message.partition() in left and message.error() is None:
                oldest_ms = min(oldest_ms, _stamp_ms(message))
                left.discard(int(message.partition() or 0))
                consumer.incremental_unassign([TopicPartition(message.topic() or "", int(message.partition() or 0))])
    return max(now_ms - oldest_ms, 0) / 1000


def _stamp_ms(message: Message) -> float:
    stamp_ms = message.timestamp()[1]
    return stamp_ms if stamp_ms > 0 else SYSTEM.now_us() / 1000

"""Where a partition begins and ends. One without a leader can't be asked, and whoever asks of several gets no answer of it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from devicesync.clock import SYSTEM
from devicesync.log.kafka.leaders import partitions_of
from devicesync.log.kafka.url import answer_to

TIMEOUT_SECONDS = 5.0  # which a stop signal may have to wait for
_PAUSE_SECONDS = 0.1
_NO_LEADER_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's own codes have this name
}
"""A partition gets a leader again, and one client hears of it before another. The later one still says _UNKNOWN_PARTITION."""
T = TypeVar("T")


def bounds(consumer: Consumer, topic: str, partition: int, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[int, int]:
    """The first offset that the partition has, and the one its next record will have. Raises KafkaException.

    To a consumer with the isolation level read_committed, the default, it ends where the first open transaction begins.
    """
    place = TopicPartition(topic, partition)
    low, high = _answered(lambda: consumer.get_watermark_offsets(place, timeout=timeout_seconds), timeout_seconds)
    return low, high


def firsts(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The first offset that each partition with a leader has. Raises KafkaException.

    All are asked for at once. A consumer's question waits behind its own fetch, for 100 ms each.
    """
    earliest: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    return _offsets(admin, topic, partitions, earliest, IsolationLevel.READ_UNCOMMITTED)


def ends(admin: AdminClient, topic: str, partitions: Iterable[int], level: IsolationLevel) -> dict[int, int]:
    """The offset at which each partition with a leader ends.

    READ_UNCOMMITTED: the one that its next record will have. READ_COMMITTED: where the first open transaction begins, if there
    is one. Raises KafkaException.
    """
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    return _offsets(admin, topic, partitions, latest, level)


def offsets_at(consumer: Consumer, topic: str, partitions: Iterable[int], ms: int) -> dict[int, int]:
    """The offset of each partition's first record of that time or later; partitions that have none are left out.

    With OFFSET_END as the time: where each partition ends, to a consumer of that isolation level. All are asked for at once.
    Raises KafkaException, also where one can't be asked.
    """
    wanted = [TopicPartition(topic, partition, ms) for partition in partitions]

    def ask() -> dict[int, int]:
        answers = consumer.offsets_for_times(wanted, timeout=TIMEOUT_SECONDS)
        for each in answers:
            if each.error is not None:
                raise KafkaException(each.error)
            if each.offset == OFFSET_INVALID:  # so the client answers for a leader that it does not reach
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own codes have this name
        return {each.partition: each.offset for each in answers if each.offset >= 0}

    return _answered(ask, TIMEOUT_SECONDS) if wanted else {}


def _offsets(admin: AdminClient, topic: str, partitions: Iterable[int], spec: Any, level: IsolationLevel) -> dict[int, int]:
    every = {*partitions}
    if not every:
        return {}

    def ask() -> dict[int, int]:
        # Asked each time: so the client knows the leaders that there are now.
        leaderless = partitions_of(admin, topic, TIMEOUT_SECONDS).leaderless
        wanted = {TopicPartition(topic, partition): spec for partition in every - leaderless}
        answers = admin.list_offsets(wanted, isolation_level=level, request_timeout=TIMEOUT_SECONDS) if wanted else {}
        found = {place.partition: int(answer_to(answer).offset) for place, answer in answers.items()}
        if any(offset < 0 for offset in found.values()):  # so the client answers for a leader that it does not reach
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own codes have this name
        return found

    return _answered(ask, TIMEOUT_SECONDS)


def _answered(ask: Callable[[], T], timeout_seconds: float) -> T:
    """What asking returns. A partition that was just made, or whose leader changes, has none for a moment: then ask again."""
    deadline = SYSTEM.monotonic() + timeout_seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or SYSTEM.monotonic() > deadline:
                raise
            SYSTEM.sleep(_PAUSE_SECONDS)

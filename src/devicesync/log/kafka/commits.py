"""Commits of a consumer, each with its answer within a time limit."""

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from devicesync.clock import Clock
from devicesync.errors import Unavailable
from devicesync.log.kafka.url import HINT

_ANSWER_SECONDS = 10.0
_REBALANCING = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._NO_OFFSET,  # noqa: SLF001 - librdkafka's own codes have this name
}


class Commits:
    """Commits and waits for the answer.

    The client itself can wait, but without end, and now and then no answer comes (confluent-kafka-python's issue 1801).
    is_silent: whether the last one got no answer.
    """

    def __init__(self, clock: Clock) -> None:
        self.is_silent = False
        self._clock = clock
        self._answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []

    def answered(self, error: KafkaError | None, positions: list[TopicPartition]) -> None:
        """Take an answer. The consumer's setting `on_commit` is this method."""
        self._answers.append((error, positions))

    def commit(self, consumer: Consumer, positions: list[TopicPartition], serve: Callable[[], None]) -> bool:
        """Commit these positions. False during a rebalance: nothing was committed. Raises Unavailable.

        serve: gives the consumer the time to call back. It is called until the answer is there, for 10 s at most.
        """
        self._answers.clear()
        self.is_silent = False
        deadline = self._clock.monotonic() + _ANSWER_SECONDS
        try:
            consumer.commit(offsets=positions, asynchronous=True)
            while (errors := self._errors_of(positions)) is None:
                self.is_silent = self._clock.monotonic() > deadline
                if self.is_silent:
                    raise Unavailable(f"can't commit to Kafka: no answer within {_ANSWER_SECONDS:g} s", HINT)
                serve()
        except KafkaException as error:
            errors = [error.args[0]]
        if failed := [error for error in errors if error.code() not in _REBALANCING]:
            raise Unavailable(f"can't commit to Kafka: {failed[0].str()}", HINT)
        return not errors

    def _errors_of(self, positions: list[TopicPartition]) -> list[KafkaError] | None:
        """What the answer says is wrong; None while there is none. One with other content is late: it is to a commit before."""
        for error, answered in self._answers:
            if _content(answered) == _content(positions):
                return [each for each in (error, *(position.error for position in answered)) if each is not None]
        return None


def _content(positions: list[TopicPartition]) -> set[tuple[int, int, str]]:
    return {(position.partition, position.offset, position.metadata or "") for position in positions}

"""Partitions that a member was given and does not read yet: nobody has asked where they begin, or they have no leader."""

from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import Clock
from devicesync.log.kafka.leaders import partitions_of
from devicesync.log.leaderless import Leaderless
from devicesync.log.port import Partitions

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 10.0
_TIMEOUT_SECONDS = 2.0


class Beginning:
    """begin: sets the offsets of positions that have leaders; what it raises `begin` raises, and all stay here.

    A partition without a leader stays here too: nobody can tell where it begins. It begins when it has one. So does one that the
    topic lacks, for it was made anew with fewer: the group takes that away.
    """

    def __init__(
        self, topic: str, admin: Callable[[], AdminClient], clock: Clock, begin: Callable[[list[TopicPartition]], None]
    ) -> None:
        self._topic = topic
        self._admin = admin
        self._clock = clock
        self._begin = begin
        self._waiting: list[TopicPartition] = []
        self._due_at = self._look_at = 0.0
        self._leaderless = Leaderless("they are not read until they have one, and all others go on")

    @property
    def is_due(self) -> bool:
        """Whether there is something to begin now."""
        return bool(self._waiting) and self._clock.monotonic() >= self._due_at

    def add(self, positions: list[TopicPartition]) -> None:
        """These were given."""
        self._waiting += positions
        self._due_at = 0.0

    def forget(self, gone: set[int]) -> set[int]:
        """These were taken away; those of them that were not begun."""
        taken = {position.partition for position in self._waiting} & gone
        self._waiting = [position for position in self._waiting if position.partition not in gone]
        return taken

    def begin(self, consumer: Consumer) -> None:
        """Let the consumer read those that have a leader. Raises KafkaException, and what `begin` raises."""
        there = self._look()
        led = [each for each in self._waiting if each.partition < there.total and each.partition not in there.leaderless]
        if led:
            self._begin(led)
            consumer.incremental_assign(led)
        self._waiting = [position for position in self._waiting if position not in led]
        self._due_at = self._clock.monotonic() + _RETRY_SECONDS

    def look_now_and_then(self) -> None:
        """Tell which partitions have lost their leaders. The client says nothing of it: it waits for them."""
        if self._clock.monotonic() >= self._look_at:
            with suppress(KafkaException):
                self._look()
            self._look_at = self._clock.monotonic() + _LOOK_SECONDS

    def _look(self) -> Partitions:
        self._look_at = self._clock.monotonic() + _LOOK_SECONDS
        found = partitions_of(self._admin(), self._topic, _TIMEOUT_SECONDS)
        self._leaderless.found(found.leaderless)
        return found

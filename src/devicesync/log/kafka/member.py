"""A member of a consumer group: what all readers of a topic share. Kafka coordinates; we only follow."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.kafka.beginning import Beginning
from devicesync.log.kafka.bounds import TIMEOUT_SECONDS
from devicesync.log.kafka.close_aside import close_aside
from devicesync.log.kafka.commits import Commits
from devicesync.log.kafka.consumer_settings import consumer_settings
from devicesync.log.kafka.contact import Contact, CutOff
from devicesync.log.kafka.not_records import records_among
from devicesync.log.kafka.taken import Bound, taken
from devicesync.log.kafka.url import KafkaUrl, failures
from devicesync.never_freed import never_free

_log: Any = structlog.get_logger("devicesync")
_KEPT = 100
_BRIEF_SECONDS = 0.001


class Member:
    """Joins its group at the first `poll`: a client that only calls `caught_up` must not be assigned partitions.

    on_assigned: called by `poll` with new partitions before they are read, once they have leaders. It may set their offsets; else
    the group's commit counts. What it raises `poll` raises, and nothing is read before a later `poll` has called it again.
    on_revoked: called with partitions that another member has now.
    ends: with the setting enable.partition.eof, where partitions ended last.
    """

    def __init__(
        self,
        url: KafkaUrl,
        group: str,
        *,
        on_revoked: Callable[[set[int]], None],
        on_assigned: Callable[[list[TopicPartition]], None] = lambda assigned: None,
        clock: Clock = SYSTEM,
        **settings: Any,
    ) -> None:
        self.topic = url.topic
        self._clock = clock
        self._commits = Commits(clock)
        self._contact = Contact(url, clock)
        self._beginning = Beginning(url.topic, lambda: self.admin, clock, on_assigned)
        self._on_revoked = on_revoked
        self.ends: dict[int, int] = {}
        self._owned: set[int] = set()
        self._kept: list[Message] = []
        self._paused = self._is_member = False
        callbacks = {"on_commit": self._commits.answered, "error_cb": self._contact.doubt}
        self._settings = consumer_settings(url, group) | callbacks | settings
        self.consumer = Consumer(self._settings)

    @property
    def admin(self) -> AdminClient:
        """To ask about the topic, also while the consumer calls back. Who asks that then ends the process: confluent_kafka 2."""
        return self._contact.admin

    def poll(self, max_records: int, timeout_seconds: float) -> list[Message]:
        """The next messages, as soon as there are any, [] after the time. Raises KafkaException, and Unavailable."""
        if not self._is_member:
            self.consumer.subscribe([self.topic], on_assign=self._assign, on_revoke=self._forget, on_lost=self._forget)
            self._is_member = True
        if self._paused:
            self.consumer.resume(self.consumer.assignment())
            self._paused = False
        try:
            self._begin_new()
            messages = self._take(max_records, timeout_seconds, Bound())
            if not messages:  # else the next poll does it: what was taken must not be lost
                self._begin_new()
        except KafkaException as error:
            self._explain(error)
            raise
        if messages:
            self._contact.heard()
        else:
            self._check()
        self._beginning.look_now_and_then()
        return messages

    def _begin_new(self) -> None:
        """Read what was assigned since the last poll. Raises KafkaException, Unavailable: then nothing of it is read yet."""
        if self._beginning.is_due:
            self._check()  # who asks nobody waits longer for an answer
            self._beginning.begin(self.consumer)

    def _take(self, max_records: int, timeout_seconds: float, bound: Bound) -> list[Message]:
        # Kept until all went well: what a failing call has taken from the consumer must not be lost.
        if not self._kept:
            self._keep(1, timeout_seconds)
        bound.count(self._kept[:max_records])
        if self._kept and max_records > len(self._kept):
            for more in taken(self.consumer, max_records - len(self._kept), bound):
                self._kept += more
        count = min(len(self._kept), max_records) - bound.beyond
        messages, self._kept = self._kept[:count], self._kept[count:]
        return self._good(messages) if any(map(Message.error, messages)) else messages

    def _keep(self, count: int, timeout_seconds: float) -> None:
        more = self.consumer.consume(count, timeout_seconds)  # which may take partitions away: `_forget` changes what is kept
        self._kept += more

    def _good(self, messages: list[Message]) -> list[Message]:
        """Those that are records. Raises KafkaException where there are none but errors."""
        records, failed = records_among(self.consumer, messages, self.ends)
        if failed is not None:
            self._contact.doubt(failed)
            if not records:
                raise KafkaException(failed)
        return records

    def rewind(self, partition: int, offset: int) -> None:
        """Make that the next to poll. Raises KafkaException."""
        self._kept = [message for message in self._kept if message.partition() != partition]
        self.ends.pop(partition, None)  # which it has not reached from there
        self.consumer.seek(TopicPartition(self.topic, partition, offset))

    def begin_anew(self, partitions: Iterable[int]) -> None:
        """Stop reading these partitions. A later `poll` asks `on_assigned` where to go on. The group learns nothing of it.

        A partition that the topic lacks by now is not read until the topic has it. Raises Unavailable.
        """
        positions = [TopicPartition(self.topic, partition) for partition in partitions]
        with failures("read"):
            self._stop(self.consumer, positions)
        self._beginning.add(positions)

    def keep_alive(self) -> None:
        """Pause the partitions and serve the group, which else takes them away after five minutes."""
        self._pause()
        if self._contact.is_due:  # somebody may wait for what a consumer that has lost Kafka never answers
            with suppress(Unavailable):
                self._check()

    def commit(self, positions: list[TopicPartition]) -> bool:
        """Commit these positions. False during a rebalance: nothing was committed. Raises Unavailable, after 10 s at most.

        False also where one is of a partition that was taken away. That may happen meanwhile, as in `poll`.
        """
        if not {position.partition for position in positions} <= self._owned:
            return False  # who is in no group yet may commit anything while the group is empty
        return self._commits.commit(self.consumer, positions, self._serve)

    def _serve(self) -> None:
        self._keep(1, _BRIEF_SECONDS) if len(self._kept) < _KEPT else self._pause()
        if self._kept:
            self._clock.sleep(_BRIEF_SECONDS)

    def _pause(self) -> None:
        with failures("read"):
            self.consumer.pause(self.consumer.assignment())
            self._paused = True
            self._keep(_KEPT, 0)

    def positions(self) -> dict[int, int]:
        """The offset of the next record to poll, by each partition that is read; negative where that is not known yet."""
        found = {position.partition: position.offset for position in self.consumer.position(self.consumer.assignment())}
        return found | {int(message.partition() or 0): int(message.offset() or 0) for message in reversed(self._kept)}

    def committed(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """What the group has committed of these. Raises KafkaException."""
        positions = [TopicPartition(self.topic, partition) for partition in partitions]
        found = self.consumer.committed(positions, timeout=TIMEOUT_SECONDS)
        for error in (position.error for position in found if position.error is not None):
            raise KafkaException(error)
        return found

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Where nobody answers, or the topic is missing, an Unavailable raised in here says so, and where that should be."""
        try:
            yield
        except Unavailable as error:
            if isinstance(error.__cause__, KafkaException):
                self._explain(error.__cause__)
            raise

    def is_lost(self) -> bool:
        """Whether nobody answers; known at once where a commit just waited in vain."""
        return self._commits.is_silent or self._contact.is_lost(self.consumer)

    def close(self) -> None:
        """Leave the group, so that the others take over at once. Where nobody answers, its client stays as it is.

        That would wait a minute for an answer, also where Python frees it.
        """
        if self.is_lost():
            never_free(self.consumer)
        else:
            self.consumer.close()

    def _explain(self, error: KafkaException) -> None:
        self._contact.doubt(error.args[0])
        self._contact.check_kafka()  # where nobody answers, that is what is wrong

    def _check(self) -> None:
        """Raise Unavailable where nobody answers. A consumer that has lost Kafka for good gives way to a new one."""
        try:
            self._contact.check(self.consumer)
        except CutOff:
            _log.warning("Kafka answers, but not this client of it: it is made anew", topic=self.topic)
            self._forget(self.consumer, [TopicPartition(self.topic, partition) for partition in self._owned])
            given_up, self.consumer = self.consumer, Consumer(self._settings)
            self._is_member = False
            close_aside(given_up)  # else it stays in the group where it does find Kafka, and nobody reads for it
            raise

    # Kafka's client calls the next two from within `consume`. Each has to tell it what to read, or to read no more. If one does
    # not, for example because it raised, the client reads all of `positions`, or takes all of them for read until now.

    def _assign(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        if consumer is self.consumer:  # one that was given up may still be given some
            self._owned |= {position.partition for position in positions}
            self._beginning.add(positions)
        consumer.incremental_assign([])  # nothing yet: it is the next poll that asks where to begin, and may fail

    def _forget(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        if consumer is not self.consumer:
            consumer.incremental_unassign([])
            return
        gone = {position.partition for position in positions}
        self._owned -= gone
        unread = self._beginning.forget(gone)
        self._on_revoked(gone)
        self._stop(consumer, [position for position in positions if position.partition not in unread])

    def _stop(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        if self._paused:
            consumer.resume(positions)  # a partition keeps its pause beyond the assignment, for ever
        gone = {position.partition for position in positions}
        self._kept = [message for message in self._kept if message.partition() not in gone]
        self.ends = {partition: end for partition, end in self.ends.items() if partition not in gone}
        consumer.incremental_unassign(positions)

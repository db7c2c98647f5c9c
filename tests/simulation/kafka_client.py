"""What the code asks of confluent_kafka, over a simulated broker. Every call that waits for the broker waits for its turn."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, OFFSET_INVALID, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from tests.simulation.kafka_broker import Broker, Kept
from tests.simulation.scheduler import current, done, gate

Places = list[TopicPartition]
_CUT_OFF_AFTER = 30
_NO_TOPIC = KafkaError.UNKNOWN_TOPIC_OR_PART


_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]


class SimulatedConsumer:
    """As confluent_kafka.Consumer, as far as the code uses it. A poll that loses its reply delivers; what is asked next fails.

    Every third one that reads for a job loses its broker for good after a while (librdkafka's issue 5301). Of every second of these
    its group still hears, and so keeps its place.
    """

    def __init__(self, broker: Broker, settings: dict[str, Any]) -> None:
        self._broker = broker
        self._group = broker.group(settings["group.id"])
        self._tells_ends = bool(settings.get("enable.partition.eof"))
        self._tell_answer = settings.get("on_commit", lambda error, places: None)
        self._is_subscribed = False
        self._member: int | None = None
        self._generation = 0
        self._given: set[int] = set()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._told: dict[int, int] = {}
        self._is_unheard = self._calls_back = False
        broker.members += "error_cb" in settings
        self._is_heard = broker.members % 2 == 1
        self._polls_left = _CUT_OFF_AFTER if "error_cb" in settings and broker.members % 3 == 0 else sys.maxsize

    def subscribe(self, topics: list[str], **callbacks: Callable[[Any, Places], None]) -> None:
        del topics
        self._is_subscribed = True
        self._callbacks = callbacks

    def consume(self, count: int, timeout: float) -> list[Message]:
        assert not self._calls_back, "the real one would end the process at its next call back"
        self._polls_left -= 1
        if self._is_cut_off:
            done(gate("Kafka poll"))
            if not self._is_heard:
                self._leave()
            self._broker.wait(timeout)
            return []
        if timeout > 0 or (self._is_subscribed and self._member is None):
            fate = gate("Kafka poll")
            done(fate)
            self._is_unheard = fate == "loses its reply"
            if fate not in ("goes on", "loses its reply"):
                return []
        if self._is_subscribed:
            self._follow_group()
        found: list[Message] = []
        for partition in sorted(self._positions):
            if partition not in self._paused and self._broker.has(partition):
                found += self._fetched(partition, count - len(found))
        if not found:
            self._broker.wait(timeout)
        return found

    def incremental_assign(self, places: Places) -> None:
        for place in places:
            committed, _ = self._group.offsets.get(place.partition, (0, ""))
            self._positions[place.partition] = {OFFSET_INVALID: committed, OFFSET_BEGINNING: 0}.get(place.offset, place.offset)

    assign = incremental_assign

    def incremental_unassign(self, places: Places) -> None:
        for place in places:
            del self._positions[place.partition]
            self._told.pop(place.partition, None)
            self._paused.discard(place.partition)

    def assignment(self) -> Places:
        return [self._place(partition, OFFSET_INVALID) for partition in self._positions]

    def pause(self, places: Places) -> None:
        self._paused |= {place.partition for place in places}

    def resume(self, places: Places) -> None:
        self._paused -= {place.partition for place in places}

    def seek(self, place: TopicPartition) -> None:
        self._positions[place.partition] = max(place.offset, 0)  # OFFSET_BEGINNING: where retention begins
        self._told.pop(place.partition, None)

    def position(self, places: Places) -> Places:
        return [self._place(place.partition, self._positions[place.partition]) for place in places]

    def committed(self, places: Places, timeout: float) -> Places:
        self._ask(timeout)
        offsets = self._group.offsets
        return [self._place(place.partition, *offsets.get(place.partition, (OFFSET_INVALID, ""))) for place in places]

    def commit(self, offsets: Places, *, asynchronous: bool) -> None:
        assert asynchronous, "the real one may never answer another"
        fate = gate("Kafka commit")
        if fate == "is refused" or self._is_cut_off:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        wanted = {place.partition: (place.offset, place.metadata or "") for place in offsets}
        there = {partition: what for partition, what in wanted.items() if self._broker.has(partition)}
        code = self._group.commit(self._member, self._generation, there) if there else None
        code = _NO_TOPIC if code is None and len(there) < len(wanted) else code
        done(fate)
        code = code if code is not None or fate == "goes on" else KafkaError._TIMED_OUT
        self._tell_answer(None if code is None else KafkaError(code), offsets)

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert not self._calls_back, "the real one would end the process at its next call back"
        self._reach(timeout)
        return _topics(self._broker, topic)

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self._ask(timeout)
        if self._broker.is_gone:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        if not self._broker.has(place.partition):
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        partition = self._broker.partitions[place.partition]
        return partition.low, partition.high

    def offsets_for_times(self, places: Places, timeout: float) -> Places:
        self._ask(timeout)
        if not all(self._broker.has(place.partition) for place in places):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return [self._place(place.partition, self._first_at(place.partition, place.offset)) for place in places]

    def close(self) -> None:
        process = current()
        if not (process and process.is_dead):  # who is killed says no goodbye
            self._leave()

    @property
    def _is_cut_off(self) -> bool:
        return self._polls_left < 0

    def _leave(self) -> None:
        if self._member is not None:
            self._group.remove(self._member)

    def _first_at(self, partition: int, ms: int) -> int:
        at = self._broker.partitions[partition]
        if ms == OFFSET_END:
            return at.high
        return next((record.offset for record in at.records if record.stamp[1] >= ms), OFFSET_END)

    def _ask(self, timeout: float) -> None:
        is_unheard, self._is_unheard = self._is_unheard, False
        if is_unheard:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self._reach(timeout)

    def _reach(self, timeout: float) -> None:
        if self._is_cut_off:
            self._broker.wait(timeout)
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        self._broker.answer(timeout)

    def _follow_group(self) -> None:
        """Join, or learn what a rebalance has changed: first what is taken away, then what is given. The callbacks say what is read."""
        if self._member not in self._group.members:
            if self._given:
                self._lose({*self._given}, "on_lost")
            self._member = self._group.join()
        assert self._member is not None
        if self._generation == self._group.generation:
            return
        if revoked := self._given - self._group.members[self._member]:
            self._lose(revoked, "on_revoke")
            self._group.release([*revoked])
        given, self._generation = self._group.take(self._member), self._group.generation
        if given:
            self._given |= given
            self._call_back("on_assign", given)

    def _lose(self, partitions: set[int], how: str) -> None:
        self._given -= partitions
        self._call_back(how, partitions)
        assert not partitions & self._positions.keys()

    def _call_back(self, how: str, partitions: set[int]) -> None:
        self._calls_back = True
        try:
            self._callbacks[how](self, self._places(partitions))
        finally:
            self._calls_back = False

    def _places(self, partitions: set[int]) -> Places:
        return [self._place(partition, OFFSET_INVALID) for partition in sorted(partitions)]

    def _fetched(self, partition: int, count: int) -> Iterator[Message]:
        at = self._broker.partitions[partition]
        start = self._positions[partition]
        if not at.low <= start <= at.high:
            start = at.low  # auto.offset.reset
            self._told.pop(partition, None)
        left = max(count, 0)
        for record in at.records[start - at.low :]:
            if not left:
                break
            start += 1
            if record.is_read:
                left -= 1
                yield _message(self._broker.topic, partition, record)
        self._positions[partition] = end = start
        if self._tells_ends and left and end == at.high and self._told.get(partition) != end:
            self._told[partition] = end
            error = KafkaError(KafkaError._PARTITION_EOF)
            yield Message(topic=self._broker.topic, partition=partition, offset=end, error=error)

    def _place(self, partition: int, offset: int, metadata: str = "") -> TopicPartition:
        return TopicPartition(self._broker.topic, partition, offset, metadata)


class SimulatedProducer:
    """As confluent_kafka.Producer, as far as the code uses it: what was produced is sent by `flush`."""

    def __init__(self, broker: Broker, now_ms: Callable[[], int]) -> None:
        self._broker = broker
        self._now_ms = now_ms
        self._waiting: list[tuple[tuple[Any, ...], Any]] = []

    def produce(  # noqa: PLR0917 - as the client has it
        self, topic: str, value: Any, key: Any, partition: int, delivered: Any, _: Any, stamp_ms: int, headers: Any
    ) -> None:
        del topic
        self._waiting.append(((key, value, headers, partition, stamp_ms or self._now_ms()), delivered))

    def poll(self, timeout: float) -> int:
        del timeout
        return 0

    def flush(self, timeout: float) -> int:
        del timeout
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return 0
        fate = gate("Kafka append")
        lost = KafkaError(KafkaError._MSG_TIMED_OUT)
        taken = {"is refused": 0, "is done by half": len(waiting) // 2}.get(fate, len(waiting)) if not self._broker.is_gone else 0
        stamps = [self._broker.append(*record) for record, _ in waiting[:taken]]
        done(fate)
        for spot, ((key, value, *_), delivered) in enumerate(waiting):
            kind = 2 if self._broker.has_append_time else 1
            stamp = (kind, stamps[spot]) if spot < taken else (0, 0)
            is_heard = spot < taken and fate in ("goes on", "is done by half")
            delivered(None if is_heard else lost, Message(topic=self._broker.topic, key=key, value=value, timestamp=stamp))
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        self._broker.answer(timeout)
        return _topics(self._broker, topic)


class SimulatedAdmin:
    """As confluent_kafka.admin.AdminClient, as far as the code uses it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Any]:
        del topics
        self._broker.answer(request_timeout)
        fate = gate("Kafka describe") if self._broker.has_lives else "goes on"
        described = SimpleNamespace(topic_id=self._broker.topic_id)
        code = KafkaError._TIMED_OUT if fate != "goes on" else _NO_TOPIC if self._broker.is_gone else None
        done(fate)

        def result() -> Any:
            if code is not None:
                raise KafkaException(KafkaError(code))
            return described

        return {self._broker.topic: answered(result)}

    def list_offsets(self, wanted: Any, isolation_level: Any, request_timeout: float) -> dict[TopicPartition, Any]:
        del isolation_level  # nobody has transactions here
        self._broker.answer(request_timeout)

        def answer_of(partition: int, spec: Any) -> Any:
            def result() -> Any:
                if not self._broker.has(partition):
                    raise KafkaException(KafkaError(_NO_TOPIC))
                there = self._broker.partitions[partition]
                return SimpleNamespace(offset=there.low if spec is _EARLIEST else there.high)

            return answered(result)

        return {place: answer_of(place.partition, spec) for place, spec in wanted.items()}

    def list_topics(self, topic: str, timeout: float) -> Any:
        self._broker.answer(timeout)
        return _topics(self._broker, topic)


@contextmanager
def clients_of(broker: Broker, now_ms: Callable[[], int]) -> Iterator[None]:
    """In here the code's Kafka clients are those of this broker. `now_ms`: the clock of whoever produces."""
    makers: dict[str, Callable[..., Any]] = {
        "Consumer": lambda settings: SimulatedConsumer(broker, settings),
        "Client": lambda settings: SimulatedProducer(broker, now_ms),
        "AdminClient": lambda settings: SimulatedAdmin(broker),
    }
    with ExitStack() as stack:
        for where in (
            "member.Consumer",
            "onlooker.Consumer",
            "producer.Client",
            "contact.AdminClient",
            "survey.AdminClient",
        ):
            stack.enter_context(mock.patch(f"devicesync.log.kafka.{where}", makers[where.partition(".")[2]]))
        stack.enter_context(mock.patch("devicesync.log.kafka.member.close_aside", lambda consumer: consumer.close()))
        yield


def answered(make: Callable[[], Any]) -> "Future[Any]":
    """What an admin client gives to whoever asks: with what `make` returns, or the KafkaException that it raises."""
    future: Future[Any] = Future()
    try:
        future.set_result(make())
    except KafkaException as error:
        future.set_exception(error)
    return future


def _topics(broker: Broker, topic: str) -> Any:
    there = range(len(broker.partitions) if not broker.is_gone else 0)
    partitions = {partition: SimpleNamespace(id=partition, leader=1) for partition in there}
    error = KafkaError(_NO_TOPIC) if broker.is_gone else None
    return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions, error=error)})


def _message(topic: str, partition: int, record: Kept) -> Message:
    return Message(
        topic=topic,
        partition=partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp=record.stamp,
    )

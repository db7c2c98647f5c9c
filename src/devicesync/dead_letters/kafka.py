"""The dead letters of a Kafka log: a topic beside it, with the refused record's key and value, and headers that say why.

One may appear twice after a crash. A dead letter that was replayed is forgotten by a marker, a record without a value
whose header `replayed` is the dead letter's id.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM
from devicesync.dead_letters.kafka_record import letter_of, outgoing, why_of
from devicesync.dead_letters.port import DeadLetter, kept, listed
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaUrl, Outgoing, Producer, TooLarge, deliver
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX
from devicesync.log.kafka.bounds import bounds
from devicesync.log.kafka.taken import Bound, taken
from devicesync.log.kafka.url import HINT, failures
from devicesync.log.whole_lines import LONGEST_LINE_BYTES

_TIMEOUT_SECONDS = 30.0
_POLLED = 1000
_FETCH_BYTES, _QUEUE_KIB = 2 << 20, 4096
_Place = tuple[int, int]
"""A partition of the topic, and the offset there."""


class _Known(NamedTuple):
    """A letter without what may be large: its reason, time and offset; where the topic has it, and since when."""

    reason: str
    time_ms: int
    offset: int
    place: _Place
    written_ms: int


class KafkaDeadLetters:
    """See port.DeadLetters. Reading goes through the whole topic: it is meant for people. It keeps no more than it returns."""

    def __init__(self, url: KafkaUrl) -> None:
        self._url = url
        self._topic = url.topic + DEAD_LETTER_SUFFIX
        self._producer = Producer(url)

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """See port.DeadLetters. Of a record that the topic does not take whole the beginning is kept."""
        try:
            self._send([outgoing(kept(letter)) for letter in letters])
        except TooLarge:
            for letter in letters:  # small ones together may have been too large as well
                self._send_beginning(letter)

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """See port.DeadLetters."""
        known = [each for each in self._known().values() if reason in (None, each.reason)]
        known.sort(key=lambda each: (each.time_ms, each.offset), reverse=True)
        places = [each.place for each in known[:limit]]
        found = {place: listed(letter, len(places)) for place, letter in self._at(places)}
        return len(known), [found[place] for place in places if place in found]

    def each(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """See port.DeadLetters."""
        places = {known.place for known in self._known().values() if reason in (None, known.reason)}
        return (letter for _, letter in self._at(places))

    def get(self, letter_id: str) -> DeadLetter | None:
        """See port.DeadLetters."""
        known = self._known().get(letter_id)
        return next((letter for _, letter in self._at([known.place])), None) if known else None

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See port.DeadLetters. The bytes stay in the topic until its retention drops them."""
        self._send([Outgoing(None, None, [("replayed", letter_id.encode())]) for letter_id in letter_ids])

    def remove_older(self, before_ms: int) -> int:
        """See port.DeadLetters. The topic is cut before the first one that stays; what lies after that is marked."""
        ends: dict[int, int] = {}
        blocked: set[int] = set()
        older: dict[str, _Place] = {}
        known = self._known()
        for message, headers in self._messages():
            partition, offset = _place(message)
            if int(headers.get("time_ms") or message.timestamp()[1]) >= before_ms:
                blocked.add(partition)
            elif partition not in blocked:
                ends[partition] = offset + 1
            if "reason" in headers and int(headers["time_ms"]) < before_ms:
                older[letter_of(message, headers).id] = partition, offset
        self._cut(ends)
        self.remove([each for each, (partition, offset) in older.items() if offset >= ends.get(partition, 0)])
        return len(known.keys() & older.keys())

    def close(self) -> None:
        """See port.DeadLetters."""

    def _send(self, records: list[Outgoing]) -> None:
        if not records:
            return
        try:
            deliver(self._producer, self._topic, records)
        except KafkaException as error:
            raise Unavailable(f"can't write the dead letters to {self._topic}: {error}", "check that Kafka runs") from error

    def _send_beginning(self, letter: DeadLetter) -> None:
        """Send as much of it as the topic takes, by halves."""
        most = LONGEST_LINE_BYTES
        while True:
            try:
                self._send([outgoing(kept(letter, most))])
            except TooLarge:
                if not most:
                    raise
                most //= 2
            else:
                return

    def _cut(self, ends: dict[int, int]) -> None:
        """Delete what lies before these offsets."""
        admin = AdminClient(self._url.client)
        places = [TopicPartition(self._topic, partition, end) for partition, end in ends.items()]
        with failures("cut the dead letters in"):
            for cut in (admin.delete_records(places, request_timeout=_TIMEOUT_SECONDS) if places else {}).values():
                cut.result()

    def _known(self) -> dict[str, _Known]:
        """All letters that are not forgotten, by their ids. A marker may lie in another partition, read before or after."""
        known: dict[str, _Known] = {}
        forgotten: dict[str, tuple[int, int]] = {}
        for message, headers in self._messages():
            (partition, _), written_ms = _place(message), message.timestamp()[1]
            if letter_id := headers.get("replayed"):
                if letter_id in known and known[letter_id].place[0] == partition:
                    del known[letter_id]
                forgotten[letter_id] = max((written_ms, partition), forgotten.get(letter_id, (0, 0)))
            elif "reason" in headers:
                letter = letter_of(message, headers)
                one = _Known(letter.reason, letter.time_ms, letter.offset, _place(message), written_ms)
                known[letter.id] = max(known.get(letter.id, one), one, key=lambda each: each.written_ms)
        for letter_id, (written_ms, partition) in forgotten.items():
            if (each := known.get(letter_id)) and each.place[0] != partition and each.written_ms <= written_ms:
                del known[letter_id]
        return known

    def _at(self, places: Collection[_Place]) -> Iterator[tuple[_Place, DeadLetter]]:
        """The letters in these places, as they come. What was cut off meanwhile is missing."""
        wanted, spans = {*places}, dict[int, tuple[int, int]]()
        for partition, offset in wanted:
            first, last = spans.get(partition, (offset, offset))
            spans[partition] = min(first, offset), max(last, offset)
        for message, headers in self._messages(spans) if wanted else ():
            if (place := _place(message)) in wanted:
                yield place, letter_of(message, headers)

    def _messages(self, spans: Mapping[int, tuple[int, int]] | None = None) -> Iterator[tuple[Message, dict[str, str]]]:
        """The whole topic, with each record's headers; none of records that are not ours.

        Also what lies behind a transaction that somebody left open: ours are part of none. One that was aborted is read too: who
        copies letters in transactions writes the same ones again.
        spans: the partitions to read, each from one offset to another; None for all of all.
        """
        consumer = Consumer(
            {
                **self._url.client,
                "group.id": "devicesync.dead-letters",
                "enable.auto.commit": False,
                "isolation.level": "read_uncommitted",
                "fetch.max.bytes": _FETCH_BYTES,
                "queued.max.messages.kbytes": _QUEUE_KIB,
            }
        )
        try:
            for partition in _partitions(consumer, self._topic) if spans is None else spans:
                place = TopicPartition(self._topic, partition)
                begin, end = bounds(consumer, self._topic, partition, _TIMEOUT_SECONDS)
                if spans is not None:
                    begin, end = max(begin, spans[partition][0]), min(end, spans[partition][1] + 1)
                if begin < end:
                    consumer.assign([TopicPartition(self._topic, partition, begin)])
                    for message in _until(consumer, place, begin, end):
                        yield message, why_of(message)
        except KafkaException as error:
            raise Unavailable(f"can't read the dead letters in {self._topic}: {error}", "check that Kafka runs") from error
        finally:
            consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The topic's, none where it is not there. Raises KafkaException, also where this user may not see it."""
    found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(found.error)
    return [*found.partitions]


def _until(consumer: Consumer, place: TopicPartition, begin: int, end: int) -> Iterator[Message]:
    """What lies from `begin` to `end`, however long that takes; raises Unavailable when nothing comes for a while."""
    deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
    position = begin
    while position < end:
        before = position
        for message in chain(consumer.consume(1, 0.2), *taken(consumer, _POLLED, Bound())):
            if message.error() is None:
                position = int(message.offset() or 0) + 1
                yield message
        (at,) = consumer.position([place])
        position = max(position, at.offset)
        if position > before:
            deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
        elif SYSTEM.monotonic() > deadline:
            raise Unavailable(f"{place.topic} could be read up to record {position} of {end} only: time-out", HINT)


def _place(message: Message) -> _Place:
    return int(message.partition() or 0), int(message.offset() or 0)

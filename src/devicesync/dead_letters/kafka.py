"""The dead letters of a Kafka log: a topic beside it, with the refused record's key and value, and headers that say why.

One may appear twice after a crash. A dead letter that was replayed is forgotten by a marker, a record without a value
whose header `replayed` is the dead letter's id.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM
from devicesync.dead_letters.port import DeadLetter
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaUrl, Outgoing, TooLarge, deliver
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX
from devicesync.log.kafka.headers import headers_of
from devicesync.log.kafka.url import HINT, failures

_TIMEOUT_SECONDS = 30.0
_LONGEST_KEY = 1024
_NUMBERS = ("partition", "offset", "time_ms")
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)


class KafkaDeadLetters:
    """See port.DeadLetters. Reading goes through the whole topic: it is meant for people."""

    def __init__(self, url: KafkaUrl) -> None:
        self._url = url
        self._topic = url.topic + DEAD_LETTER_SUFFIX
        self._producer: Producer | None = None

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """See port.DeadLetters. Of a record that the topic does not take whole the beginning is kept."""
        try:
            self._send([_outgoing(letter) for letter in letters])
        except TooLarge:
            for letter in letters:  # small ones together may have been too large as well
                self._send_beginning(letter)

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """See port.DeadLetters."""
        letters = [letter for letter in self._all().values() if reason in (None, letter.reason)]
        letters.sort(key=lambda letter: (letter.time_ms, letter.offset), reverse=True)
        return len(letters), letters[:limit]

    def get(self, letter_id: str) -> DeadLetter | None:
        """See port.DeadLetters."""
        return self._all().get(letter_id)

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See port.DeadLetters. The bytes stay in the topic until its retention drops them."""
        self._send([Outgoing(None, None, [("replayed", letter_id.encode())]) for letter_id in letter_ids])

    def remove_older(self, before_ms: int) -> int:
        """See port.DeadLetters. The topic is cut before the first one that stays; what lies after that is marked."""
        ends: dict[int, int] = {}
        blocked: set[int] = set()
        older: dict[str, tuple[int, int]] = {}
        known = self._all()
        for message, headers in self._messages():
            partition, offset = _place(message)
            if int(headers.get("time_ms") or message.timestamp()[1]) >= before_ms:
                blocked.add(partition)
            elif partition not in blocked:
                ends[partition] = offset + 1
            if "reason" in headers and int(headers["time_ms"]) < before_ms:
                older[_letter(message, headers).id] = partition, offset
        self._cut(ends)
        self.remove([each for each, (partition, offset) in older.items() if offset >= ends.get(partition, 0)])
        return len(known.keys() & older.keys())

    def close(self) -> None:
        """See port.DeadLetters."""

    def _send(self, records: list[Outgoing]) -> None:
        if not records:
            return
        if self._producer is None:
            size = {"message.max.bytes": 104_857_600}
            self._producer = Producer({**self._url.client, "acks": "all", "enable.idempotence": True, "linger.ms": 2, **size})
        try:
            deliver(self._producer, self._topic, records)
        except KafkaException as error:
            raise Unavailable(f"can't write the dead letters to {self._topic}: {error}", "check that Kafka runs") from error

    def _send_beginning(self, letter: DeadLetter) -> None:
        """Send as much of it as the topic takes, by halves; first without a key that is longer than any device's."""
        value, key = letter.value or b"", letter.key or b""
        whole = kept = len(value)
        while True:
            try:
                self._send([_outgoing(letter)])
            except TooLarge:
                if letter.key and len(key) > _LONGEST_KEY:
                    letter = letter._replace(key=None, detail=f"its key of {len(key)} bytes is not kept: the topic takes no more")
                    continue
                if not kept:
                    raise
                kept //= 2
                detail = f"only the first {kept} of {whole} bytes are kept: the topic takes no more"
                letter = letter._replace(value=value[:kept], detail=detail)
            else:
                return

    def _cut(self, ends: dict[int, int]) -> None:
        """Delete what lies before these offsets."""
        admin = AdminClient(self._url.client)
        places = [TopicPartition(self._topic, partition, end) for partition, end in ends.items()]
        with failures("cut the dead letters in"):
            for cut in (admin.delete_records(places, request_timeout=_TIMEOUT_SECONDS) if places else {}).values():
                cut.result()

    def _all(self) -> dict[str, DeadLetter]:
        letters: dict[str, DeadLetter] = {}
        for message, headers in self._messages():
            if "replayed" in headers:
                letters.pop(headers["replayed"], None)
            elif "reason" in headers:
                letter = _letter(message, headers)
                letters[letter.id] = letter
        return letters

    def _messages(self) -> Iterator[tuple[Message, dict[str, str]]]:
        """The whole topic, with each record's headers; none of records that are not ours."""
        consumer = Consumer({**self._url.client, "group.id": "devicesync.dead-letters", "enable.auto.commit": False})
        try:
            found = consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS).topics[self._topic]
            for partition in found.partitions:
                place = TopicPartition(self._topic, partition, OFFSET_BEGINNING)
                begin, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)
                consumer.assign([place])
                for message in _until(consumer, place, begin, end):
                    yield message, _headers(message)
        except KafkaException as error:
            raise Unavailable(f"can't read the dead letters in {self._topic}: {error}", "check that Kafka runs") from error
        finally:
            consumer.close()


def _until(consumer: Consumer, place: TopicPartition, begin: int, end: int) -> Iterator[Message]:
    """What lies from `begin` to `end`, however long that takes; raises Unavailable when nothing comes for a while."""
    deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
    position = begin
    while position < end:
        before = position
        for message in consumer.consume(1000, 0.2):
            if message.error() is None:
                position = int(message.offset() or 0) + 1
                yield message
        (at,) = consumer.position([place])
        position = max(position, at.offset)
        if position > before:
            deadline = SYSTEM.monotonic() + _TIMEOUT_SECONDS
        elif SYSTEM.monotonic() > deadline:
            raise Unavailable(f"{place.topic} could be read up to record {position} of {end} only: time-out", HINT)


def _headers(message: Message) -> dict[str, str]:
    """The headers of a dead letter or of a marker; {} of what somebody else has put there."""
    (pairs,) = headers_of([message])
    try:
        headers = {name: value.decode() for name, value in pairs or [] if value is not None}
    except UnicodeDecodeError:
        return {}
    is_letter = "reason" in headers and all(_NUMBER.fullmatch(headers.get(name, "")) for name in _NUMBERS)
    return headers if is_letter or "replayed" in headers else {}


def _place(message: Message) -> tuple[int, int]:
    return int(message.partition() or 0), int(message.offset() or 0)


def _outgoing(letter: DeadLetter) -> Outgoing:
    headers = {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.source,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "time_ms": str(letter.time_ms),
    }
    return Outgoing(letter.value, letter.key, [(name, text.encode()) for name, text in headers.items()])


def _letter(message: Message, headers: dict[str, str]) -> DeadLetter:
    key = message.key()
    partition, offset, time_ms = (int(headers[name]) for name in _NUMBERS)
    return DeadLetter(
        message.value(),
        cast("Any", headers["reason"]),
        headers.get("detail", ""),
        headers.get("topic", ""),
        partition,
        offset,
        time_ms,
        key.encode() if isinstance(key, str) else key,
    )

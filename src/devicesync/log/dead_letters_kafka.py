"""The dead letters of a Kafka log: a topic beside it, with the refused record's key and value, and headers that say why.

One may appear twice after a crash. A dead letter that was replayed is forgotten by a marker, a record without a value
whose header `replayed` is the dead letter's id.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from devicesync.errors import Unavailable
from devicesync.log.dead_letters import DeadLetter
from devicesync.log.kafka import KafkaUrl, Outgoing, deliver
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX

_TIMEOUT_SECONDS = 30.0


class KafkaDeadLetters:
    """See dead_letters.DeadLetters. Reading goes through the whole topic: it is meant for people."""

    def __init__(self, url: KafkaUrl) -> None:
        self._url = url
        self._topic = url.topic + DEAD_LETTER_SUFFIX
        self._producer: Producer | None = None

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """See dead_letters.DeadLetters."""
        self._send(
            [
                (
                    letter.value,
                    letter.key,
                    {
                        "reason": letter.reason,
                        "detail": letter.detail,
                        "topic": letter.source,
                        "partition": str(letter.partition),
                        "offset": str(letter.offset),
                        "time_ms": str(letter.time_ms),
                    },
                )
                for letter in letters
            ]
        )

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """See dead_letters.DeadLetters."""
        letters = [letter for letter in self._all().values() if reason in (None, letter.reason)]
        letters.sort(key=lambda letter: (letter.time_ms, letter.offset), reverse=True)
        return len(letters), letters[:limit]

    def get(self, letter_id: str) -> DeadLetter | None:
        """See dead_letters.DeadLetters."""
        return self._all().get(letter_id)

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See dead_letters.DeadLetters."""
        self._send([(None, None, {"replayed": letter_id}) for letter_id in letter_ids])

    def close(self) -> None:
        """See dead_letters.DeadLetters."""

    def _send(self, records: list[tuple[bytes | None, bytes | None, dict[str, str]]]) -> None:
        if not records:
            return
        if self._producer is None:
            size = {"message.max.bytes": 104_857_600}
            self._producer = Producer({**self._url.client, "acks": "all", "enable.idempotence": True, "linger.ms": 2, **size})
        outgoing = [
            Outgoing(value, key, [(name, text.encode()) for name, text in headers.items()]) for value, key, headers in records
        ]
        try:
            deliver(self._producer, self._topic, outgoing)
        except KafkaException as error:
            raise Unavailable(f"can't write the dead letters to {self._topic}: {error}", "check that Kafka runs") from error

    def _all(self) -> dict[str, DeadLetter]:
        consumer = Consumer({**self._url.client, "group.id": "devicesync.dead-letters", "enable.auto.commit": False})
        letters: dict[str, DeadLetter] = {}
        try:
            found = consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS).topics[self._topic]
            for partition in found.partitions:
                place = TopicPartition(self._topic, partition, OFFSET_BEGINNING)
                _, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)
                consumer.assign([place])
                for message in _until(consumer, place, end):
                    headers = {name: cast("bytes", text).decode() for name, text in message.headers() or []}
                    if "replayed" in headers:
                        letters.pop(headers["replayed"], None)
                    elif "reason" in headers:
                        letter = _letter(message, headers)
                        letters[letter.id] = letter
        except KafkaException as error:
            raise Unavailable(f"can't read the dead letters in {self._topic}: {error}", "check that Kafka runs") from error
        finally:
            consumer.close()
        return letters


def _until(consumer: Consumer, place: TopicPartition, end: int) -> Any:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    position = 0
    while position < end and time.monotonic() < deadline:
        for message in consumer.consume(1000, 0.2):
            if message.error() is None:
                position = int(message.offset() or 0) + 1
                yield message
        (at,) = consumer.position([place])
        position = max(position, at.offset)


def _letter(message: Message, headers: dict[str, str]) -> DeadLetter:
    key = message.key()
    return DeadLetter(
        message.value(),
        cast("Any", headers["reason"]),
        headers.get("detail", ""),
        headers.get("topic", ""),
        int(headers.get("partition", 0)),
        int(headers.get("offset", 0)),
        int(headers.get("time_ms", 0)),
        key.encode() if isinstance(key, str) else key,
    )

"""The dead letters of a Kafka log: a topic beside it, with the refused record's key and value, and headers that say why.

One may appear twice after a crash. A dead letter that was replayed is forgotten by a marker, a record without a value
whose header `replayed` is the dead letter's id.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.dead_letters.kafka_known import KnownLetters, known_letters
from devicesync.dead_letters.kafka_record import letter_of, outgoing
from devicesync.dead_letters.kafka_topic import Read, place_of, read
from devicesync.dead_letters.port import DeadLetter, kept, listed
from devicesync.errors import Unavailable
from devicesync.few import few_at_once
from devicesync.log.kafka import KafkaUrl, Outgoing, Producer, TooLarge, deliver
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX
from devicesync.log.kafka.url import failures
from devicesync.log.whole_lines import LONGEST_LINE_BYTES

_TIMEOUT_SECONDS = 30.0
_MARKED = 2000


class KafkaDeadLetters:
    """See port.DeadLetters. Reading goes through the whole topic: it is meant for people. It keeps in memory what it returns.

    check: is called again and again while the topic is read. What it raises is raised: so it ends what takes long.
    """

    def __init__(self, url: KafkaUrl, check: Callable[[], None] = lambda: None) -> None:
        self._url = url
        self._check = check
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
        with self._known(self._all(), reason=reason) as known:
            total = known.count()
            count = total if limit is None else min(limit, total)
            found = [listed(letter, count) for letter in self._newest(known, count)]
        found.sort(key=lambda each: (each.time_ms, each.offset), reverse=True)
        return total, found

    def each(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """See port.DeadLetters. They are looked for when the first one is asked for."""
        with self._known(self._all(), reason=reason) as known:
            yield from self._newest(known, known.count())

    def get(self, letter_id: str) -> DeadLetter | None:
        """See port.DeadLetters."""
        with self._known(self._all(), letter_id=letter_id) as known:
            return next(self._newest(known, 1), None)

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See port.DeadLetters. The bytes stay in the topic until its retention drops them."""
        self._send([Outgoing(None, None, [("replayed", letter_id.encode())]) for letter_id in letter_ids])

    def remove_older(self, before_ms: int) -> int:
        """See port.DeadLetters. The topic is cut before the first one that stays; what lies after that is marked."""
        ends: dict[int, int] = {}
        with self._known(_noting_ends(self._all(), before_ms, ends)) as known:
            older = known.older(before_ms)
        self._cut(ends)
        left = (letter_of(*each) for each in self._all() if "reason" in each[1])
        for some in few_at_once((letter.id for letter in left if letter.time_ms < before_ms), _MARKED):
            self.remove(some)
        return older

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

    def _all(self) -> Iterator[Read]:
        return read(self._url, self._topic, self._check)

    @contextmanager
    def _known(
        self, records: Iterable[Read], *, reason: str | None = None, letter_id: str | None = None
    ) -> Iterator[KnownLetters]:
        """The letters that are not forgotten: those of a reason are wanted, None for all; of one id alone, or all."""
        with known_letters() as known:
            for message, headers in records:
                place, written_ms = place_of(message), message.timestamp()[1]
                if marked := headers.get("replayed"):
                    if letter_id in (None, marked):
                        known.forget(marked, place[0], written_ms)
                elif "reason" in headers:
                    letter = letter_of(message, headers)
                    if letter_id in (None, letter.id):
                        known.add(letter, place, written_ms, is_wanted=reason in (None, letter.reason))
            known.settle()
            yield known

    def _newest(self, known: KnownLetters, count: int) -> Iterator[DeadLetter]:
        """The newest so many, in the order in which the topic has them. What was cut off meanwhile is missing."""
        places = known.places(count)
        place = next(places, None)
        for message, headers in read(self._url, self._topic, self._check, known.spans(count)):
            here = place_of(message)
            while place and place < here:
                place = next(places, None)
            if place == here:
                yield letter_of(message, headers)


def _noting_ends(records: Iterable[Read], before_ms: int, ends: dict[int, int]) -> Iterator[Read]:
    """Pass them on, and note where each partition's first one that is not older lies, or its end."""
    blocked: set[int] = set()
    for message, headers in records:
        partition, offset = place_of(message)
        if int(headers.get("time_ms") or message.timestamp()[1]) >= before_ms:
            blocked.add(partition)
        elif partition not in blocked:
            ends[partition] = offset + 1
        yield message, headers

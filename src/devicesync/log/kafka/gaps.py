"""Gaps in the offsets that a reader gets. Markers and compaction make some. Where the topic begins later, records are lost."""

from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devicesync.clock import Clock
from devicesync.log.kafka.bounds import firsts

_MOST = 10_000
"""So many are kept while nobody tells where a partition begins."""
_PAUSE_SECONDS = 60.0
Gap = tuple[int, int, int]
"""A partition, the offset that was expected, and the one that came."""

_log: Any = structlog.get_logger("devicesync")


class Gaps:
    """`lost`: how many records were gone from the topic before this reader got them."""

    def __init__(self, admin: Callable[[], AdminClient], topic: str, clock: Clock) -> None:
        self.lost = 0
        self._admin = admin
        self._topic = topic
        self._clock = clock
        self._found: list[Gap] = []
        self._due_at = 0.0

    def found(self, partition: int, expected: int, offset: int) -> None:
        """Note that this offset came where another was expected."""
        if offset != expected and len(self._found) < _MOST:
            self._found.append((partition, expected, offset))

    def look(self, *, is_last: bool = False) -> None:
        """Tell what is gone of what was found. Where nobody answers, a later call asks again.

        Not the next one, unless it is the last: of two brokers one may be away, and each question then takes 5 s.
        """
        if self._clock.monotonic() < self._due_at and not is_last:
            return
        try:
            self._found = self.look_into(self._found)
        except KafkaException:
            self._due_at = self._clock.monotonic() + _PAUSE_SECONDS

    def look_into(self, gaps: list[Gap]) -> list[Gap]:
        """Tell what is gone of these; those of partitions that have no leader now. Raises KafkaException.

        The first offsets are asked for once: they only grow. A topic of small transactions has a gap after each record.
        """
        real = [(partition, expected, offset) for partition, expected, offset in gaps if offset > expected]
        begins = firsts(self._admin(), self._topic, {partition for partition, _, _ in real})
        for partition, expected, offset in real:
            if partition in begins:
                self._tell(partition, expected, min(begins[partition], offset))
        return [gap for gap in real if gap[0] not in begins]

    def forget(self, partitions: set[int]) -> None:
        """Forget the gaps of partitions of another topic."""
        self._found = [gap for gap in self._found if gap[0] not in partitions]

    def _tell(self, partition: int, expected: int, first: int) -> None:
        if first > expected:
            self.lost += first - expected
            _log.error(
                "records were gone from the log before they were applied",
                partition=partition,
                offset=expected,
                next_offset=first,
                hint="a backup has them: `devicesync restore --to-stores`; let the topic keep records for longer",
            )

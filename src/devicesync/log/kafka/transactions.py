"""Transactions that producers have not ended. No reader gets what lies behind the first record of one: it may be aborted."""

from collections.abc import Mapping
from typing import Any

import structlog

from devicesync.clock import Clock

LONG_SECONDS = 10.0
"""A transaction that is open for less is usual, and nobody is told of it."""
_SILENCE_SECONDS = 60.0
HINT = (
    "its producer ends it, or Kafka after the producer's transaction.timeout.ms, or an operator: "
    "`kafka-transactions.sh list` and `forceTerminateTransaction`"
)
_log: Any = structlog.get_logger("devicesync")


class Awaited:
    """What lay behind open transactions when a reader had all the rest. It is waited for, and not what has come since."""

    def __init__(self, topic: str, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._ends: dict[int, int] = {}
        self._tell_at = 0.0

    def is_there(self, readable: Mapping[int, int], last: Mapping[int, int]) -> bool:
        """Whether nothing is awaited any more. After some seconds a line says what is, and from then on every minute.

        readable: where each partition ends for readers. last: where it ended just before that, with what they don't get.
        """
        awaited = {partition: min(self._ends.get(partition, end), end) for partition, end in last.items()}
        awaited = {partition: end for partition, end in awaited.items() if readable[partition] < end}
        now = self._clock.monotonic()
        if not self._ends:
            self._tell_at = now + LONG_SECONDS
        self._ends = awaited
        if awaited and now >= self._tell_at:
            self._tell_at = now + _SILENCE_SECONDS
            count = sum(end - readable[partition] for partition, end in awaited.items())
            reason = f"{count:,} records of {self._topic} lie behind a transaction that a producer has not ended"
            _log.warning("waiting", reason=reason, partitions=sorted(awaited), hint=HINT)
        return not awaited

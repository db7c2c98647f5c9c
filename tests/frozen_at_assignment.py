"""Runs a devicesync command that freezes itself (SIGSTOP) when Kafka first gives it partitions, before it asks anything about them.

python tests/frozen_at_assignment.py COMMAND…
"""

import os
import signal
import sys

from confluent_kafka import Consumer, TopicPartition

from devicesync.cli.main import run
from devicesync.log.kafka import full
from devicesync.log.kafka.member import Member


class _Frozen(Member):
    was_frozen = False

    def _assign(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        super()._assign(consumer, positions)
        if positions and not self.was_frozen:
            self.was_frozen = True  # a broker that was silent for long has given them to nobody: it gives them once more
            os.kill(os.getpid(), signal.SIGSTOP)


full.Member = _Frozen  # type: ignore[attr-defined]
sys.exit(run(sys.argv[1:]))

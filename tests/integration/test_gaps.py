"""Gaps in a topic whose brokers are not all there: to ask the one that is away takes 5 s, and the others' records don't wait."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from devicesync.log.kafka import gaps
from devicesync.log.kafka.gaps import Gaps
from tests.api.test_kafka_clock import Times


def test_a_broker_that_is_away_is_asked_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a topic of transactions each poll has gaps. What is lost is told when it is back."""
    asked: list[float] = []
    away, clock = [True], Times()
    admin: Any = SimpleNamespace()

    def firsts(*asked_of: Any) -> dict[int, int]:
        asked.append(clock.seconds)
        if away[0]:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return dict.fromkeys(asked_of[2], 5)

    monkeypatch.setattr(gaps, "firsts", firsts)
    found = Gaps(lambda: admin, "topic", clock)
    for _ in range(100):
        found.found(0, 1, 3)
        found.look()
        clock.sleep(1)
    assert len(asked) == 2
    away.clear()
    away.append(False)
    clock.sleep(60)
    found.look()
    assert found.lost == 200
    found.look()
    assert found.lost == 200

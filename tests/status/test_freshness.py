"""Freshness: its spread in little memory, and of the last seconds."""

import random
import time

from devicesync.log.port import Record
from devicesync.status.freshness import Ages, Freshness


def taken(*ago_ms: int) -> list[Record]:
    """Records that the log took so many ms ago."""
    now_ms = time.time_ns() // 1_000_000
    return [Record(b"{}", 0, offset, now_ms - ago, None) for offset, ago in enumerate(ago_ms)]


def test_the_spread_is_right_to_two_percent() -> None:
    """Against the sorted ages, from less than a ms to a day; a million take no more memory than the steps."""
    ages, known, chance = Ages(), [], random.Random(1)
    for _ in range(20_000):
        age_ms = 10 ** chance.uniform(-1, 8)
        ages.add(age_ms, 1)
        known.append(age_ms)
    known.sort()
    spread = ages.spread()
    assert (spread.records, spread.max_ms) == (20_000, known[-1])
    for found, true in ((spread.p50_ms, known[10_000]), (spread.p99_ms, known[19_800])):
        assert abs(found - true) <= 0.025 * true + 0.05
    assert len(ages.steps) < 500


def test_of_nothing_the_spread_is_zero() -> None:
    assert Freshness().take() == (0, 0.0, 0.0, 0.0)
    assert Freshness().seconds(60) == []
    assert Freshness().last(60) == (0, 0.0, 0.0, 0.0)


def test_it_is_told_once_and_remembered() -> None:
    """`take` tells what came since; `last` and the tally keep it."""
    fresh = Freshness()
    fresh.observe(taken(1000, 1000, 9000))
    spread = fresh.take()
    assert spread.records == 3
    assert 950 < spread.p50_ms < 60_000
    assert 9000 <= spread.max_ms < 60_000
    assert fresh.take().records == 0
    assert fresh.last(300).records == 3
    buckets = dict(fresh.tally.buckets())
    assert (buckets["0.5"], buckets["+Inf"]) == (0, 3)
    assert fresh.tally.sum >= 11


def test_a_record_from_the_future_is_fresh() -> None:
    """The broker's clock may be ahead of ours: no negative ages."""
    fresh = Freshness()
    fresh.observe(taken(-60_000))
    assert fresh.take().max_ms == 0

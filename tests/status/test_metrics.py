"""The declared metrics: their names keep Prometheus' rules; what is shown of them can be read back."""

import re
from collections.abc import Sequence
from pathlib import Path
from queue import Queue

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devicesync.cache.memory import MemoryCache
from devicesync.cli.main import RUN_UNTIL_STOPPED
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.law.state import NOTHING, State
from devicesync.log.port import Lag
from devicesync.status import lag
from devicesync.status.declared import (
    API_REQUESTS,
    BUILD,
    LAG_RECORDS,
    LOST,
    METRICS,
    REFUSED,
    STEP,
    STORE_CALL,
    STORE_ERRORS,
    Metric,
)
from devicesync.status.measured import StoreCalls
from devicesync.status.metrics import Metrics
from devicesync.status.tally import Tallies, Tally
from devicesync.stores import Stores
from tests.end_to_end.command import WAIT_SECONDS, until

UNITS = (
    "_seconds",
    "_bytes",
    "_ratio",
    "_records",
    "_info",
    "_devices",
    "_partitions",
    "_connections",
    "_waiting",
    "_waiting_for_log",
    "_hears_changes",
)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_keep_prometheus_rules(metric: Metric) -> None:
    """One prefix, a counter ends in _total and nothing else does, a unit in each other name, a sentence as meaning."""
    assert re.fullmatch(r"devicesync_[a-z0-9_]+[a-z]", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.kind == "counter" or metric.name.endswith(UNITS)
    assert not metric.name.endswith(("_ms_total", "_ms", "_count", "_sum", "_bucket"))
    assert metric.meaning.endswith(".")
    assert (metric.kind == "histogram") == bool(metric.edges) == (metric.edges == tuple(sorted(metric.edges)) != ())
    assert not {"le", "id", "device_id", "address", "token"} & {*metric.labels}
    assert {*metric.commands} <= RUN_UNTIL_STOPPED


def test_each_name_is_declared_once() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 30


def test_readings_are_shown() -> None:
    """With no label, one, two; as histograms; and what can't be found out is absent."""
    metrics, steps = Metrics("update"), Tallies((0.1, 1.0))
    steps["poll"].observe(0.05)
    steps["poll"].observe(5.0, times=2)

    def away() -> dict[Metric, float]:
        raise Unavailable("away")

    requests: dict[tuple[str, ...], float] = {("call", "200"): 3.0}
    metrics.add(lambda: {REFUSED: {"too_large": 2}, API_REQUESTS: requests, STEP: steps})
    metrics.add(away)
    metrics.add(lambda: {LOST: 1})
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }
    (build,) = [labels for name, labels in samples if name == "devicesync_build_info"]
    assert "update" in build
    assert samples["devicesync_updater_refused_total", ("too_large",)] == 2
    assert samples["devicesync_api_requests_total", ("call", "200")] == 3
    assert samples["devicesync_updater_lost_total", ()] == 1
    buckets = {labels[0]: value for (name, labels), value in samples.items() if name.endswith("step_seconds_bucket")}
    assert buckets == {"0.1": 1, "1.0": 1, "+Inf": 3}
    assert samples["devicesync_updater_step_seconds_sum", ("poll",)] == 10.05


def lag_in(metrics: Metrics) -> float | None:
    """The lag in records that /metrics shows now."""
    families = text_string_to_metric_families(metrics.text().decode())
    found = {sample.name: sample.value for family in families for sample in family.samples}
    assert BUILD.name in found
    return found.get(LAG_RECORDS.name)


def test_a_log_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lag is absent, or for a while the one before; the log is asked once at a time. It heals by itself."""
    begun, answers, metrics = list[int](), Queue[Lag | Unavailable](), Metrics("update")

    def ask() -> Lag:
        begun.append(1)
        answer = answers.get(timeout=WAIT_SECONDS)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    monkeypatch.setattr(lag, "KEPT_SECONDS", 3600.0)
    metrics.add_lag(ask)
    assert [lag_in(metrics) for _ in range(3)] == [None, None, None]
    until(lambda: begun)
    assert len(begun) == 1
    answers.put(Lag(7, 1.0, is_read=True))
    until(lambda: lag_in(metrics) == 7)
    assert lag_in(metrics) == 7  # of the look before: nothing answers this one
    monkeypatch.setattr(lag, "KEPT_SECONDS", 0.0)
    assert lag_in(metrics) is None
    monkeypatch.setattr(lag, "KEPT_SECONDS", 3600.0)
    answers.put(Unavailable("away"))
    until(lambda: lag_in(metrics) is None)
    assert lag_in(metrics) is None  # the look before has failed
    answers.put(Lag(9, 1.0, is_read=True))
    until(lambda: lag_in(metrics) == 9)
    answers.put(Lag(9, 1.0, is_read=True))  # so that no thread is left waiting


def test_a_tally_counts_an_edge_below() -> None:
    """As Prometheus does: le means less or equal."""
    tally = Tally((1.0, 2.0))
    tally.observe(1.0)
    assert tally.buckets() == [("1.0", 1), ("2.0", 1), ("+Inf", 1)]


class _Away(MemoryCache):
    """A cache that can't be used."""

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        raise Unavailable(f"away: {device_ids}")


def test_calls_of_stores_are_timed_and_failures_counted(tmp_path: Path) -> None:
    """Each call of a measured store, and nothing else about it changes."""
    calls = StoreCalls()
    stores = calls.measured(Stores(_Away(), SqliteDatabase(tmp_path / "profile.db")))
    assert stores.cache.is_private
    stores.write({"d": NOTHING})
    for _ in range(2):
        with pytest.raises(Unavailable):
            stores.cache.read(["d"])
    stores.close()
    readings = calls.readings()
    assert readings[STORE_ERRORS] == {"cache": 2, "database": 0}
    assert isinstance(seconds := readings[STORE_CALL], Tallies)
    assert [seconds[store].buckets()[-1][1] for store in ("cache", "database")] == [4, 1]

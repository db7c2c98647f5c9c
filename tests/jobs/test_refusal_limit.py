"""The limit that stops a job: for a bad deploy, never for a stranger's burst."""

import threading
from collections.abc import Iterable
from contextlib import closing, nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

from devicesync.clock import SYSTEM, SystemClock
from devicesync.dead_letters.port import DeadLetter
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import TooManyBad, Unavailable
from devicesync.jobs.batch import fold
from devicesync.jobs.enrich import Job, Progress
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.log.port import Record


class Hours(SystemClock):
    """A clock by which an hour goes by between two looks: the log may be asked each time."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 3600
        return self._now


def feed(share: RefusalLimit, records: Iterable[tuple[bool, int]], partition: int = 0) -> None:
    """Tell of records: whether each was refused, and the second at which the log took it."""
    for refused, second in records:
        if refused:
            share.bad("malformed_json", second * 1000, partition)
        else:
            share.good()


def test_a_burst_of_bad_records_stops_nobody() -> None:
    """Ten thousand within a minute, again and again, as long as good records come between."""
    share = RefusalLimit(0.95, 1000, 60)
    for minute in range(10):
        feed(share, ((True, minute * 3600 + count // 200) for count in range(10_000)))
        feed(share, [(False, 0)] * 51)


def test_a_bad_deploy_stops_the_job_after_a_minute_of_the_log() -> None:
    """The log's own time counts."""
    share = RefusalLimit(0.95, 1000, 60)
    feed(share, ((True, count // 100) for count in range(6900)))  # the thousandth came in second 9
    with pytest.raises(TooManyBad, match="950 of the last 1000 records were refused, the last one as malformed_json") as stopped:
        feed(share, [(True, 69)])
    assert "bad_share_limit = 1" in stopped.value.hint
    assert "stays in the log" in stopped.value.hint


def test_good_records_in_between_start_the_minute_anew() -> None:
    """Whether they came in one piece or strewn in."""
    share = RefusalLimit(0.5, 10, 60)
    feed(share, [(True, 0)] * 10)
    feed(share, [(False, 30)] * 6)
    feed(share, [(True, 61)] * 10)
    with pytest.raises(TooManyBad):
        feed(share, [(True, 121)])


def test_the_bad_partition_of_a_backlog_comes_first() -> None:
    """An hour of it, a fifth of all, stopped the updater at each start: the others had not had their turns."""
    share, left = RefusalLimit(0.95, 1000, 60, Hours()), {0, 1, 2}
    share.unread = lambda: left
    feed(share, ((True, count) for count in range(3600)))
    left.remove(0)
    share.good(51)
    feed(share, ((True, count) for count in range(1000)))
    share.good(4_000)


def test_a_backlog_that_is_bad_everywhere_stops_the_job_when_each_partition_was_read_so_far() -> None:
    """The last one is read up to the end of the bad minute, or has nothing more to read. The log may not answer meanwhile."""
    share, answers = RefusalLimit(0.95, 1000, 60, Hours()), {0, 1, 2}

    def unread() -> set[int]:
        if not answers:
            raise Unavailable("it is away")
        return answers

    share.unread = unread
    for partition in (0, 1):
        feed(share, ((True, count // 10) for count in range(5000)), partition)
    left = answers.copy()
    answers.clear()
    feed(share, ((True, count // 10) for count in range(1700)), 2)
    answers |= left
    with pytest.raises(TooManyBad):
        share.bad("malformed_json", 170_000, 2)
    answers.remove(2)
    with pytest.raises(TooManyBad):
        share.bad("malformed_json", 500_000, 1)


def test_what_the_others_had_meanwhile_counts_also_where_they_were_read_before() -> None:
    """A partition of few large bad records, 4 % of all, is read last, and alone: an updater stopped at two starts."""
    share = RefusalLimit(0.95, 1000, 60, Hours())
    for count in range(60_000):
        share.good(1, count // 300 * 1000)
    feed(share, ((True, count // 12) for count in range(2_400)))
    with pytest.raises(TooManyBad):  # and what comes later is judged by itself
        feed(share, ((True, 200 + count // 20) for count in range(2_400)))


def test_a_log_of_one_partition_is_read_as_it_was_written() -> None:
    """As a journal: nothing can come between."""
    share = RefusalLimit(0.95, 1000, 60)
    share.unread = lambda: {0: 5_000}
    with pytest.raises(TooManyBad):
        feed(share, ((True, count // 10) for count in range(1700)))


def test_a_limit_of_one_stops_never() -> None:
    """The way out that the hint names."""
    feed(RefusalLimit(1, 10, 0), [(True, count) for count in range(1000)])


@pytest.mark.parametrize("seconds", [0, 61])
def test_of_records_with_their_producers_times_the_time_of_reading_counts(seconds: int) -> None:
    """A thousand at once, of stamps that a minute lies between, stopped an updater: whoever sends them says when that was."""
    read = [Record(b"x", 0, number, number * 1000, None, read_ms=number * seconds // 2000 * 1000) for number in range(2001)]
    with pytest.raises(TooManyBad) if seconds else nullcontext():
        fold(read, source="log", refusal_limit=RefusalLimit(0.95, 1000, 30))
    with pytest.raises(TooManyBad):
        fold([record._replace(read_ms=None) for record in read], source="log", refusal_limit=RefusalLimit(0.95, 1000, 30))


def test_of_events_that_are_enriched_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their times are mostly their producers'."""
    now_ms = 0
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: now_ms, raising=False)
    with closing(SqliteDeadLetters(tmp_path / "dead.db")) as letters:
        job = Job(Mock(), letters, RefusalLimit(0.95, 1000, 30), threading.Event(), "log", Progress())
        dead = [DeadLetter(b"x", "malformed_json", "", "log", 0, number, number * 1000) for number in range(2000)]
        assert job.judged(dead) == dead
        now_ms = 31_000
        with pytest.raises(TooManyBad):
            job.judged(dead[:1])

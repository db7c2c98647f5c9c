"""How much `enrich` has in hand at once: of events that become large, some MiB; of others a whole batch."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.jobs.apply import Line
from devicesync.jobs.enrich import Job, Progress, enrich_lines, enrich_topic
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.refusal import Refused
from devicesync.log.full import OFFSET, VALUE, FullRecord

EVENTS = 5_000
LARGE, SMALL = b"x" * 58_000, b"x" * 1_600
MOST_BYTES = (16 << 20) + len(LARGE)
BAD, TOO_LARGE = 700, 4_900


class _Makes:
    """An enricher: each event becomes these bytes. The one without bytes is refused."""

    def __init__(self, enriched: bytes) -> None:
        self._enriched = enriched

    def enrich(self, events: Sequence[bytes], until_bytes: int) -> list[bytes | Refused]:
        done: list[bytes | Refused] = []
        for event in events:
            if sum(len(some) for some in done if isinstance(some, bytes)) >= until_bytes:
                break
            done.append(self._enriched if event else Refused("malformed_json", ""))
        return done


class _Topic:
    """A reader of one batch, and a target that says what it was offered before each `put`."""

    def __init__(self) -> None:
        rows: list[FullRecord] = [(offset, 1, None, b"" if offset == BAD else b"{}", None) for offset in range(EVENTS)]
        self._left = {0: rows[: EVENTS // 2], 1: rows[EVENTS // 2 :]}
        self.bytes: list[int] = []
        self.taken: list[int] = []
        self.committed = 0
        self._offered: list[FullRecord] = []

    def poll_full(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        del timeout_seconds
        assert max_records == EVENTS
        found, self._left = self._left, {}
        return found

    def commit(self) -> None:
        self.committed = len(self.taken)

    def keep_alive(self) -> None: ...

    def unread(self) -> dict[int, int]:
        return {}

    def caught_up(self) -> bool:
        return True

    def offer(self, records: Mapping[int, Sequence[FullRecord]]) -> None:
        self._offered += [record for found in records.values() for record in found]

    def put(self, records: Mapping[int, Sequence[FullRecord]]) -> list[tuple[int, int]]:
        put = [record for found in records.values() for record in found]
        assert put == self._offered
        self._offered = []
        self.bytes.append(sum(len(record[VALUE] or b"") for record in put))
        self.taken += [record[OFFSET] for record in put]
        return [(1, TOO_LARGE)] if any(record[OFFSET] == TOO_LARGE for record in put) else []


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[SqliteDeadLetters]:
    with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as opened:
        yield opened


def job_of(enriched: bytes, letters: SqliteDeadLetters) -> Job:
    return Job(_Makes(enriched), letters, RefusalLimit(1, 1_000, 60), threading.Event(), "events", Progress())


@pytest.mark.parametrize(("enriched", "parts"), [(LARGE, 18), (SMALL, 1)])
def test_a_topic_s_events_that_become_large_are_handed_over_in_parts(
    letters: SqliteDeadLetters, enriched: bytes, parts: int
) -> None:
    """Each in its order, none twice; what is refused or too large is a dead letter, and all of it is committed."""
    topic, job = _Topic(), job_of(enriched, letters)
    enrich_topic(job, topic, topic, until_caught_up=True)
    assert len(topic.bytes) == parts
    assert max(topic.bytes) <= MOST_BYTES
    assert topic.taken == [offset for offset in range(EVENTS) if offset != BAD]
    assert topic.committed == EVENTS - 1
    assert job.progress.document() == {
        "read": EVENTS,
        "written": EVENTS - 2,
        "dead": 2,
        "dead_reasons": {"malformed_json": 1, "too_large": 1},
    }
    assert sorted(letter.offset for letter in letters.find()[1]) == [BAD, TOO_LARGE]


@pytest.mark.parametrize(("enriched", "writes"), [(LARGE, 36), (SMALL, 3)])
def test_lines_that_become_large_are_written_few_at_a_time(letters: SqliteDeadLetters, enriched: bytes, writes: int) -> None:
    """Others a whole batch at a time, once the first ones have shown that they are small."""
    written: list[list[bytes]] = []
    told: list[int] = []
    lines = [Line(number, b"" if number == BAD else b"{}", 1) for number in range(10_000)]
    batches = [lines[start : start + EVENTS] for start in (0, EVENTS)]
    job = job_of(enriched, letters)
    enrich_lines(job, batches, lambda some: written.append([*some]), told.append)
    assert len(written) == writes
    assert sum(map(len, written)) == job.progress.written == 9_999
    assert sum(told) == 2 * 9_999 + 10_000
    assert max(sum(map(len, some)) for some in written) <= MOST_BYTES
    assert [letter.offset for letter in letters.find()[1]] == [BAD]

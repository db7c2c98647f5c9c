"""Trying refused records again."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from devicesync.dead_letters.port import DeadLetter, kept_in_part
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.jobs.replay import replay
from devicesync.law.event import Event


class _Sent:
    """A delivery that notes what it is given."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def send(self, values: Sequence[bytes], events: Sequence[Event]) -> None:
        assert len(values) == len(events)
        self.values += values

    def wait_until_stored(self) -> None:
        """At once."""


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[SqliteDeadLetters]:
    with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as opened:
        yield opened


def test_a_refused_record_of_which_the_beginning_is_kept_is_not_replayed(letters: SqliteDeadLetters) -> None:
    """Its beginning may be a valid event of its own, with blanks behind it: that is not the record. It stays, and is told."""
    value = b'{"device_id":"d","version":1700000000000000}'
    whole = DeadLetter(value, "too_large", "", "topic", 0, 1, 5)
    letters.add([whole, whole._replace(offset=2, detail=kept_in_part(len(value), 1_000_000))])
    sent = _Sent()
    with structlog.testing.capture_logs() as told:
        assert replay(letters.each(), letters, sent, max_clock_ahead_ms=0) == (2, 1)
    assert sent.values == [value]
    assert [each.offset for each in letters.each()] == [2]
    assert [line["records"] for line in told if "can't be replayed" in line["event"]] == [1]

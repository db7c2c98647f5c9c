"""The first step: joins a file's events by device, and adds them to the buckets."""

from collections.abc import Iterable
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.dead_letters.port import DeadLetter, DeadLetters, kept
from devicesync.jobs.batch import fold, join_events
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import record_of
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.log.full import FullRecord

LETTER_TIMES = 100
"""A file's dead letters have at most so many times its bytes, for some KB can unpack to gigabytes of bad records.

JSON unpacks to 5 to 20 times as much, where each record is another one.
"""
_LETTER_BYTES = 200
"""What a letter takes beside its value, its key and the name of its source."""


class Gathered(NamedTuple):
    """The counts of one file: wanted records, valid events among them, refused ones, and erases besides (see Selection).

    ahead: how many of the refused ones have a version past the time at which they were logged or kept.
    not_kept: how many of them are no dead letters, since the file's letters would have more than LETTER_TIMES its bytes.
    writer: under whose name its events are in the buckets.
    """

    records: int = 0
    applied: int = 0
    dead: int = 0
    later_erases: int = 0
    ahead: int = 0
    not_kept: int = 0
    writer: str = ""


def gather(
    entry: Entry,
    rows_of_file: Iterable[list[FullRecord]],
    selection: Selection,
    buckets: Buckets,
    dead_letters: DeadLetters | None,
    *,
    max_clock_ahead_ms: int,
) -> Gathered:
    """Read one file. dead_letters: None for a dry run. Safe to repeat. Raises Unavailable, OSError."""
    none = RefusalLimit(1, 1, 0)  # the backup keeps what was refused, whoever sent it
    records = applied = dead = later = ahead = not_kept = 0
    left = LETTER_TIMES * (entry.bytes + (entry.rest.bytes if entry.rest else 0))
    for all_rows in rows_of_file:
        rows = selection.rows(all_rows, entry, max_clock_ahead_ms)
        folded = fold(
            [record_of(row, entry, max_clock_ahead_ms) for row in rows],
            source=entry.source,
            refusal_limit=none,
            max_clock_ahead_ms=max_clock_ahead_ms,
        )
        erases = selection.other_erases(all_rows, entry, max_clock_ahead_ms)
        buckets.add(folded.changes)
        buckets.add(join_events(erases))
        if dead_letters:
            letters, left = _within(folded.dead, left)
            dead_letters.add(letters)
            not_kept += len(folded.dead) - len(letters)
        records += len(rows)
        applied += folded.applied
        dead += len(folded.dead)
        later += len(erases)
        ahead += sum(letter.reason == "version_in_future" for letter in folded.dead)
    return Gathered(records, applied, dead, later, ahead, not_kept, buckets.flush())


def _within(letters: list[DeadLetter], left: int) -> tuple[list[DeadLetter], int]:
    """Those of them that fit into so many bytes, and how many bytes are left then."""
    within = []
    for letter in map(kept, letters):
        size = _LETTER_BYTES + sum(len(part or b"") for part in (letter.value, letter.key, letter.source.encode()))
        if size <= left:
            within.append(letter)
            left -= size
    return within, left

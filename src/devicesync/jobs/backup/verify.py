"""Verify: finds what is wrong with a backup, file by file, and compared with the log."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.generation import End
from devicesync.archive.ranges import ERASURES, by_range, place_of
from devicesync.clock import SYSTEM
from devicesync.errors import HINT_OF_DAMAGED, Damaged
from devicesync.jobs.backup.comparison import Comparison, Problem, Source
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.shared.backed_up import from_the_future
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import FullLog, FullRecord, Survey

Records = Callable[[int, int, int], Iterable[list[FullRecord]]]
"""As FullLog.records."""
_COUNTED = 10_000
_SUPERSEDED = (
    "is on its way, or a killed upload or prune left it, and another one is listed in its place, or its range is pruned: "
    "what `devicesync backup redact` does not remove, remove while no backup runs"
)

_UNLISTED = (
    "has no entry in the manifest; `devicesync backup run` completes an upload that was interrupted; one that stays after that "
    "is no such upload: move it away, unless an entry that can't be read is that of its range"
)
_EITHER = ": one of the two is not of this backup; before you remove one, ask `devicesync backup verify --deep` beside the log"


def check_entries(
    archive: Archive,
    ends: list[End],
    pruned: list[Entry],
    entries: list[Entry],
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
) -> Iterator[Problem]:
    """Find what does not fit among the listed files, and files that are not listed. Raises Unavailable."""
    known = [*pruned, *entries]
    yield from check_order(pruned, entries)
    yield from check_identities(archive, known)
    yield from check_ends(ends, known)
    yield from check_unlisted(archive, known)
    yield from check_interrupted(archive, pruned, entries)
    for entry in from_the_future(known, SYSTEM.now_ms() + max_clock_ahead_ms):
        yield Problem(entry.path, "has records of later than now, by this machine's clock: a restore would refuse them")


def check_order(pruned: list[Entry], entries: list[Entry]) -> Iterator[Problem]:
    """Find gaps and overlaps between the files of each partition, pruned files included, and such as no prune has removed."""
    yield from check_overlaps(pruned, entries)
    for before, after in _neighbours(pruned, entries):
        if before is None and after.follows:
            yield Problem(after.path, f"gap: the records before {after.from_offset} were in a file")
        elif before and after.from_offset > before.next_offset:
            yield Problem(after.path, f"gap: records {before.next_offset} to {after.from_offset - 1} are in no file")


def check_overlaps(pruned: list[Entry], entries: list[Entry]) -> Iterator[Problem]:
    """Find what no kill leaves: records that are in two ranges, and such as no prune has removed."""
    yield from _check_pruned(pruned, entries)
    for before, after in _neighbours(pruned, entries):
        if before and after.from_offset < before.next_offset:
            last = min(before.next_offset, after.next_offset) - 1
            yield Problem(after.path, f"overlap: records {after.from_offset} to {last} are in {before.path} too{_EITHER}")


def _neighbours(pruned: list[Entry], entries: list[Entry]) -> Iterator[tuple[Entry | None, Entry]]:
    """The first file of each range, beside that of the range before it in its partition.

    Where a range is listed, what a prune has kept of it counts as little as for who reads it: its bounds may be others.
    """
    listed = {entry.range for entry in entries}
    before: Entry | None = None
    for after, *_ in by_range([*entries, *(entry for entry in pruned if entry.range not in listed)]):
        yield (before if before and before.order[:2] == after.order[:2] else None), after
        before = after


def _check_pruned(pruned: list[Entry], entries: list[Entry]) -> Iterator[Problem]:
    """A prune removes a partition's first ranges, and never its last one. So what is after a range that is left hides records."""
    listed = {entry.range for entry in entries}
    first = {(generation, partition): offset for generation, partition, offset in sorted(listed, reverse=True)}
    for after, *_ in by_range(pruned):
        generation, partition, offset = after.range
        if after.range not in listed and offset >= first.get((generation, partition), offset):
            by = place_of([after], ERASURES)
            yield Problem(after.path, f"counts as pruned by {by}, but no prune removes more than the first files of a partition")


def check_identities(archive: Archive, known: list[Entry]) -> Iterator[Problem]:
    """Find files of another log than their generation is of. Older archives do not say whose a file is. Raises Unavailable."""
    identities = {number: archive.manifest.identity(number) for number in {entry.generation for entry in known}}
    for entry in known:
        if "" not in (entry.identity, identities[entry.generation]) and entry.identity != identities[entry.generation]:
            yield Problem(entry.path, f"is of another log than generation {entry.generation}")


def check_ends(ends: list[End], known: list[Entry]) -> Iterator[Problem]:
    """Find the partitions of earlier generations whose last files are gone with their entries. Pruned files are known too."""
    last: dict[tuple[int, int], int] = {}
    for entry in known:
        place = entry.generation, entry.partition
        last[place] = max(entry.next_offset, last.get(place, 0))
    for end in ends:
        lacking = [
            (partition, next_offset, there)
            for partition, next_offset in sorted(end.next_offsets().items())
            if (there := last.get((end.generation, partition), 0)) < next_offset
        ]
        for partition, next_offset, there in lacking[:1]:
            told = f"partition {partition} of generation {end.generation} went up to offset {next_offset - 1}"
            left = f"its last files are gone: what is left ends at {there - 1}" if there else "none of its files is left"
            more = f"; so have {len(lacking) - 1:,} others" if len(lacking) > 1 else ""
            yield Problem(end.path, f"{told} when this generation began, and {left}{more}")


def check_unlisted(archive: Archive, known: list[Entry]) -> Iterator[Problem]:
    """Find files that no entry names. Raises Unavailable."""
    for path in archive.unlisted(known):
        yield Problem(path, _UNLISTED)


def check_interrupted(archive: Archive, pruned: list[Entry], entries: list[Entry]) -> Iterator[Problem]:
    """Find what was left: under hidden names, in whose place others are listed, and of pruned ranges. Raises Unavailable."""
    for path in archive.superseded(pruned, entries):
        yield Problem(path, _SUPERSEDED)
    for path in archive.interrupted():
        yield Problem(
            path, "is on its way, or a killed upload left it: `devicesync backup redact` removes it, `prune` after an hour"
        )


def check_log(pruned: list[Entry], entries: list[Entry], generation: int, survey: Survey) -> Iterator[Problem]:
    """Find records of the log that are in no file. Records after the last file do not count here."""
    for partition, (first, end) in survey.bounds.items():
        files = [entry for entry in entries if (entry.generation, entry.partition) == (generation, partition)]
        if files and files[-1].next_offset > end:
            yield Problem(files[-1].path, f"the log ends at {end}, before this file does")
        was_pruned = any((entry.generation, entry.partition) == (generation, partition) for entry in pruned)
        if files and not was_pruned and files[0].from_offset > first:
            yield Problem(files[0].path, f"gap: the log has records {first} to {files[0].from_offset - 1}, and no file has them")


def behind(entries: list[Entry], generation: int | None, survey: Survey, log: FullLog) -> int:
    """Return how many records the log has after the last files. Few are counted; many are estimated by their offsets.

    generation: None where there is no file of this log. Some offsets have no record: those of transaction markers.
    Raises Unavailable.
    """
    ends = {entry.partition: entry.next_offset for entry in entries if entry.generation == generation}
    total = 0
    for partition, (first, end) in survey.bounds.items():
        start = max(ends.get(partition, first), first)
        few = start < end <= start + _COUNTED
        total += sum(map(len, log.records(partition, start, end))) if few else max(end - start, 0)
    return total


def check_range(
    archive: Archive, files: list[Entry], spool: Path, records: Records | None, cover: Cover, *, deep: bool
) -> list[Problem]:
    """Check sizes and checksums. With `deep`, also read every record, and compare it with the log's, if they are given.

    A revision is told to `cover`. It has to be checked again once that knows the erases, if they do not cover everything.

    Raises Unavailable.
    """
    beside_log: list[Problem] = []
    if records and deep:
        try:
            return _compared(archive, files, spool, records, cover)
        except Damaged as damaged:
            beside_log = [problem_of(damaged)]
    found: list[Problem] = []
    for entry in files:
        try:
            with archive.fetched(entry, spool) as batches:
                for _ in batches if deep else ():  # to its end: only then it has proved to be whole
                    pass
        except Damaged as damaged:
            found.append(problem_of(damaged))
    return found or beside_log


def _compared(archive: Archive, files: list[Entry], spool: Path, records: Records, cover: Cover) -> list[Problem]:
    """What the range has otherwise than the log. Raises Unavailable, and Damaged for the first damaged file."""
    first = files[0]
    source = Source("the log", records(first.partition, first.from_offset, first.next_offset), is_whole=False)
    with archive.side_by_side(files, spool) as opened:
        return [*Comparison(opened, source).problems(cover if any(entry.revision for entry in files) else None)]


def problem_of(damaged: Damaged) -> Problem:
    """The damage, and what to do where that is more than to bring a copy."""
    hint = "" if damaged.hint == HINT_OF_DAMAGED else f"; {damaged.hint}"
    return Problem(damaged.path, f"{damaged.problem}{hint}")

"""`backup verify` and `backup prune`: the work of both, with a progress bar."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from devicesync import adapters, data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.archive.spool import Spool
from devicesync.cli.options import say
from devicesync.cli.process import progress_bar
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.backup.prune import old_ranges, prune_range
from devicesync.jobs.backup.verify import Finding, behind, check_log, check_order, check_range, check_unlisted, finding_of
from devicesync.log.full import FullLog, Survey

_AT_ONCE = 4
_DAY_MS = 86_400_000


def verify(settings: Settings, archives: list[Archive], *, deep: bool) -> dict[str, Any]:
    """The document that `backup verify --json` prints. Raises Unavailable."""
    problems: list[Finding] = []
    files = records = left = 0
    with _spool(settings) as spool:
        for archive in archives:
            damaged: list[Damaged] = []
            entries = archive.manifest.entries(damaged)
            pruned = archive.manifest.pruned_entries(damaged)
            problems += map(finding_of, damaged)
            problems += check_order(pruned, entries)
            problems += check_unlisted(archive, [*pruned, *entries])
            with _same_log(settings, archive) as (log, survey, generation):
                if log and survey and generation:
                    problems += check_log(pruned, entries, generation, survey)
                    left += behind(entries, generation, survey, log)
                problems += _check_files(archive, entries, spool, log, generation, deep=deep)
            files += len(entries)
            records += sum(entry.records for entry in entries)
    return {"files": files, "records": records, "behind": left, "problems": [finding._asdict() for finding in problems]}


def prune(settings: Settings, archives: list[Archive], keep_days: float, *, dry_run: bool) -> list[Entry]:
    """The files that were removed, or would be. Raises Unavailable, Damaged."""
    before_ms = int(time.time() * 1000 - keep_days * _DAY_MS)
    removed: list[Entry] = []
    with _spool(settings) as spool:
        for archive in archives:
            entries = archive.manifest.entries()
            old = list(old_ranges(entries, before_ms))
            left = archive.unlisted(entries)
            for entry in archive.manifest.pruned_entries():
                if entry.path in left and not dry_run:
                    archive.manifest.sweep(entry)
            with progress_bar(f"prune {archive.topic}", len(old), unit="files") as advance:
                for files in [] if dry_run else old:
                    prune_range(archive, files, spool.path, settings.max_clock_ahead_ms)
                    advance(1)
            removed += [entry for files in old for entry in files]
    return removed


def _check_files(
    archive: Archive, entries: list[Entry], spool: Spool, log: FullLog | None, generation: int | None, *, deep: bool
) -> list[Finding]:
    found: list[Finding] = []
    ranges = by_range(entries)
    with (
        progress_bar(f"verify {archive.topic}", sum(entry.bytes for entry in entries)) as advance,
        ThreadPoolExecutor(1 if deep else _AT_ONCE) as checkers,
    ):

        def check(files: list[Entry]) -> list[Finding]:
            of_log = log if files[0].generation == generation else None
            return check_range(archive, files, spool.path, of_log, deep=deep)

        for files, findings in zip(ranges, checkers.map(check, ranges), strict=True):
            found += findings
            advance(sum(entry.bytes for entry in files))
    return found


@contextmanager
def _same_log(settings: Settings, archive: Archive) -> Iterator[tuple[FullLog | None, Survey | None, int | None]]:
    """The log that the archive is of, what it has, and its generation; None where it is another, or can't be reached."""
    nothing = (None, None, None)
    if adapters.topic_of(settings) != archive.topic or not adapters.log_exists(settings):
        yield nothing
        return
    with closing(adapters.open_log(settings)) as log:
        try:
            survey = log.survey()
        except Unavailable as error:
            say(f"not compared with the log: {error}")
            yield nothing
            return
        generation = archive.manifest.generation_named(survey.identity)
        yield (log, survey, generation) if generation else nothing


@contextmanager
def _spool(settings: Settings) -> Iterator[Spool]:
    data_directory.prepare(settings.directory)
    with closing(Spool(settings.directory / data_directory.VERIFY_SPOOL)) as spool:
        yield spool

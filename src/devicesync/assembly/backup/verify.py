"""`backup verify`: what is wrong with a backup."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from devicesync import data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.archive.spool import Spool
from devicesync.archive.storage import Storage
from devicesync.assembly import adapters, named_log
from devicesync.assembly.backup.archives import archives_at, spool_of
from devicesync.assembly.watcher import Advance, Watcher
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.backup.verify import (
    Problem,
    behind,
    check_entries,
    check_log,
    check_range,
    problem_of,
)
from devicesync.log.full import FullLog, Survey

_AT_ONCE = 4


def verify(place: str, settings: Settings, watcher: Watcher, *, deep: bool) -> dict[str, Any]:
    """The document that `backup verify --json` prints. Raises Unavailable, WrongUse."""
    archives = archives_at(place)
    topic = named_log.topic_of(settings)
    if named_log.log_exists(settings) and topic not in {archive.topic for archive in archives}:
        archives.append(Archive(Storage(place), topic))  # an empty one: all that the log has is in no file
    problems: list[Problem] = []
    files = records = left = 0
    with spool_of(settings, data_directory.VERIFY_SPOOL) as spool:
        for archive in archives:
            damaged: list[Damaged] = []
            ends = archive.manifest.ends(damaged)
            entries = archive.manifest.entries(damaged)
            pruned = archive.manifest.pruned_entries(damaged)
            problems += map(problem_of, damaged)
            problems += check_entries(archive, ends, pruned, entries, settings.max_clock_ahead_ms)
            with _same_log(settings, archive, watcher) as (log, survey, generation):
                if log and survey:
                    problems += check_log(pruned, entries, generation, survey) if generation else ()
                    left += behind(entries, generation, survey, log)
                bar = watcher.bar(f"verify {archive.topic}", sum(entry.bytes for entry in entries))
                problems += _check_files(archive, entries, spool, log, generation, bar, deep=deep)
            files += len(entries)
            records += sum(entry.records for entry in entries)
    return {"files": files, "records": records, "behind": left, "problems": [finding._asdict() for finding in problems]}


def _check_files(  # noqa: PLR0917 - all of them are needed
    archive: Archive,
    entries: list[Entry],
    spool: Spool,
    log: FullLog | None,
    generation: int | None,
    bar: AbstractContextManager[Advance],
    *,
    deep: bool,
) -> list[Problem]:
    found: list[Problem] = []
    ranges = by_range(entries)
    with (
        bar as advance,
        ThreadPoolExecutor(1 if deep else _AT_ONCE) as checkers,
    ):

        def check(files: list[Entry]) -> list[Problem]:
            of_log = log if files[0].generation == generation else None
            return check_range(archive, files, spool.path, of_log, deep=deep)

        for files, findings in zip(ranges, checkers.map(check, ranges), strict=True):
            found += findings
            advance(sum(entry.bytes for entry in files))
    return found


@contextmanager
def _same_log(
    settings: Settings, archive: Archive, watcher: Watcher
) -> Iterator[tuple[FullLog | None, Survey | None, int | None]]:
    """The log of the archive's topic, what it has, and its generation: None where the archive has nothing of this log.

    All are None where the log has another topic, or can't be reached, or the generations' files are damaged.
    """
    nothing = (None, None, None)
    if named_log.topic_of(settings) != archive.topic or not named_log.log_exists(settings):
        yield nothing
        return
    with closing(adapters.open_log(settings)) as log:
        try:
            survey = log.survey()
            generation = archive.manifest.generation_named(survey.identity)
        except (Unavailable, Damaged) as error:
            watcher.say(f"not compared with the log: {error}")
            yield nothing
            return
        if not generation:
            watcher.say(f"the log {log.source} is in no generation of this backup: none of its records counts as kept")
        yield log, survey, generation

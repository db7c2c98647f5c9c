"""`backup verify`: what is wrong with a backup."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import Any, NamedTuple

from devicesync import data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, by_range, place_of
from devicesync.archive.revisions import Replaced
from devicesync.archive.spool import Spool
from devicesync.archive.storage import Storage
from devicesync.assembly import adapters, named_log
from devicesync.assembly.backup.archives import archives_at, spool_of, tell_revisions
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.backup.comparison import Problem
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.replaced import doubts
from devicesync.jobs.backup.verify import (
    behind,
    check_entries,
    check_log,
    check_range,
    problem_of,
)
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.log.full import FullLog, Survey

_AT_ONCE = 4


def verify(place: str, settings: Settings, watcher: Watcher, *, deep: bool) -> dict[str, Any]:
    """The document that `backup verify --json` prints. Raises Unavailable, WrongUse."""
    archives = archives_at(place)
    topic = named_log.topic_of(settings)
    if named_log.log_exists(settings) and topic not in {archive.topic for archive in archives}:
        archives.append(Archive(Storage(place), topic))  # an empty one: all that the log has is in no file
    problems: list[Problem] = []
    files = records = revisions = left = 0
    with spool_of(settings, data_directory.VERIFY_SPOOL) as spool:
        for archive in archives:
            damaged: list[Damaged] = []
            ends = archive.manifest.ends(damaged)
            entries = archive.manifest.entries(damaged)
            pruned = archive.manifest.pruned_entries(damaged)
            problems += map(problem_of, damaged)
            found = [*check_entries(archive, ends, pruned, entries, settings.max_clock_ahead_ms)]
            with _same_log(settings, archive, watcher) as (log, survey, generation):
                if log and survey:
                    found += check_log(pruned, entries, generation, survey) if generation else ()
                    left += behind(entries, generation, survey, log)
                looked = _Look(archive, entries, spool, log, generation, watcher, deep)
                of_files, to_stay = looked.look(settings.max_clock_ahead_ms)
            problems += [*(problem for problem in found if problem.path not in to_stay), *of_files]
            files += len(entries)
            records += sum(entry.records for entry in entries)
            revisions += tell_revisions(archive, entries, watcher)
    found_in_all = [finding._asdict() for finding in problems]
    return {"files": files, "records": records, "revisions": revisions, "behind": left, "problems": found_in_all}


class _Look(NamedTuple):
    """At the contents of an archive's files. log: that of the generation, if there is one."""

    archive: Archive
    entries: list[Entry]
    spool: Spool
    log: FullLog | None
    generation: int | None
    watcher: Watcher
    deep: bool

    def look(self, max_clock_ahead_ms: int) -> tuple[list[Problem], set[str]]:
        """What is wrong with the files, and what nobody should remove: what revisions replace that no redact has made.

        What revisions lack is told first, then the erases are read, and where these do not cover it all, revisions once more.
        """
        archive, spool, cover = self.archive, self.spool.path, Cover()
        pairs = archive.replaced(self.entries)
        found, doubted = self._check(self.entries, cover), [*doubts(archive, pairs, spool, cover)]
        cover.learn(archive, self.entries, pruned_erasures(archive, max_clock_ahead_ms), spool)
        if not cover.is_full:
            doubted = [*doubts(archive, pairs, spool, cover)]
        ranges = {doubt.revision.range for doubt in doubted}
        doubtful = [each for each in pairs if each.revision.range in ranges]
        others = self._whole(doubtful) if self.deep else []
        if others:  # which may be the true ones, with erases that the doubtful ones lack
            found += self._check_others(others, max_clock_ahead_ms)
            self._learn(cover, others, max_clock_ahead_ms)
        if not cover.is_full:
            again = self._check([entry for entry in self.entries if entry.revision], cover)
            found += [problem for problem in again if problem not in found]
        to_stay = {path for each in doubtful for path in each.paths}
        return [*found, *(Problem(doubt.revision.path, f"{doubt.problem}; {doubt.hint}") for doubt in doubted)], to_stay

    def _whole(self, pairs: list[Replaced]) -> list[str]:
        """The other listings among these of which all files are there: of a part nobody can say what it lacks.

        Also those with other places or bounds, which may be the true ones as well.
        """
        paths = {place_of([each.other], ENTRY): each.all_paths for each in pairs}
        absent = self.archive.absent(chain.from_iterable(paths.values()))
        return [listing for listing, files in paths.items() if absent.isdisjoint(files)]

    def _check_others(self, listings: list[str], max_clock_ahead_ms: int) -> list[Problem]:
        cover = Cover()
        found = [problem for files in self._files_of(listings) for problem in self._check(files, cover)]
        self._learn(cover, listings, max_clock_ahead_ms)
        return found if cover.is_full else [each for files in self._files_of(listings) for each in self._check(files, cover)]

    def _learn(self, cover: Cover, listings: list[str], max_clock_ahead_ms: int) -> None:
        """Also from the files of these listings."""
        pruned = pruned_erasures(self.archive, max_clock_ahead_ms)
        others = chain.from_iterable(self._files_of(listings))
        cover.learn(self.archive, self.entries, pruned, self.spool.path, others=others)

    def _files_of(self, listings: list[str]) -> Iterator[list[Entry]]:
        """One listing at a time: there may be many, of long names."""
        for path in listings:
            with suppress(Damaged):
                yield self.archive.manifest.listed_at(path)

    def _check(self, entries: list[Entry], cover: Cover) -> list[Problem]:
        found: list[Problem] = []
        ranges = by_range(entries)
        with (
            self.watcher.bar(f"verify {self.archive.topic}", sum(entry.bytes for entry in entries)) as advance,
            ThreadPoolExecutor(1 if self.deep else _AT_ONCE) as checkers,
        ):

            def check(files: list[Entry]) -> list[Problem]:
                of_log = self.log.records if self.log and files[0].generation == self.generation else None
                return check_range(self.archive, files, self.spool.path, of_log, cover, deep=self.deep)

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

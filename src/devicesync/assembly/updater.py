"""The updater, put together with its log and its stores."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.jobs.follow import follow
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.shared.tidy import tidying
from devicesync.jobs.update import READER, Updater
from devicesync.log.foreign import ForeignLog
from devicesync.log.port import Log, Reader, Record
from devicesync.stores import Stores

if TYPE_CHECKING:
    from devicesync.log.journal import Journal, JournalReader

AfterBatch = Callable[[Sequence[Record]], None]


def _unheard(records: Sequence[Record]) -> None:
    pass


class Embedded(NamedTuple):
    """The updater of a data directory, with its journal."""

    log: "Journal"
    reader: "JournalReader"
    stores: Stores
    updater: Updater

    @property
    def journal(self) -> "Journal":
        """The log, which is a journal here."""
        return self.log


class GroupMember(NamedTuple):
    """One of any number of updaters that share a log's partitions."""

    log: Log
    reader: Reader
    stores: Stores
    updater: Updater


def counters_of(assembled: Embedded | GroupMember) -> dict[str, tuple[str, Callable[[], float]]]:
    """What an updater's metrics count, by name: the meaning and the figure. Refused records are not among them."""
    counts, reader = assembled.updater.counts, assembled.reader
    return {
        "devicesync_updater_applied_total": ("Events handed through the law.", lambda: counts.applied),
        "devicesync_updater_lost_total": ("Records that were gone before they were read.", lambda: reader.lost),
    }


def refusal_limit(settings: Settings, *, at_once: bool = False) -> RefusalLimit:
    """The limit that stops a job, as set. at_once: for a file that somebody hands over, where no stranger can reach it."""
    return RefusalLimit(settings.bad_share_limit, settings.bad_share_records, 0 if at_once else settings.bad_share_seconds)


@contextmanager
def updating(settings: Settings, command: str, stop: threading.Event, after_batch: AfterBatch = _unheard) -> Iterator[Embedded]:
    """Hold the data directory and assemble its updater. Raises Held when another process has it."""
    data_directory.prepare(settings.directory)
    held = data_directory.Hold(settings.directory, command)
    try:
        with embedded(settings, stop, after_batch) as assembled:
            try:
                yield assembled
            finally:
                stop.set()
    finally:
        held.release()


@contextmanager
def embedded(settings: Settings, stop: threading.Event, after_batch: AfterBatch = _unheard) -> Iterator[Embedded]:
    """The updater of a data directory, which the caller holds; closed after the body."""
    with ExitStack() as opened:
        journal = opened.enter_context(closing(adapters.open_journal(settings)))
        reader = opened.enter_context(closing(journal.reader(READER)))
        stores, updater = _over(reader, str(journal.path), settings, opened, stop, after_batch)
        reader.bind(stores.database.identity)
        followed = adapters.followed_path(settings)
        if followed:
            foreign = ForeignLog(followed, settings.directory / data_directory.FOLLOWED)
            follower = threading.Thread(target=follow, args=(foreign, journal, stop), name="follow")
            follower.start()
            opened.callback(follower.join)
        opened.enter_context(tidying(_chores(settings, journal, opened), settings.tidy_seconds))
        yield Embedded(journal, reader, stores, updater)


@contextmanager
def group_member(settings: Settings, stop: threading.Event) -> Iterator[GroupMember]:
    """A member of the log's group of updaters; closed after the body."""
    with ExitStack() as opened:
        log = opened.enter_context(closing(adapters.open_log(settings)))
        reader = opened.enter_context(closing(log.reader(READER)))
        yield GroupMember(log, reader, *_over(reader, log.source, settings, opened, stop, _unheard))


def _over(  # noqa: PLR0917 - all of them are needed
    reader: Reader, source: str, settings: Settings, opened: ExitStack, stop: threading.Event, after_batch: AfterBatch
) -> tuple[Stores, Updater]:
    stores = opened.enter_context(closing(adapters.open_stores(settings)))
    return stores, Updater(
        reader,
        stores,
        opened.enter_context(closing(adapters.open_dead_letters(settings))),
        source=source,
        batch_records=settings.batch_records,
        refusal_limit=refusal_limit(settings),
        stop=stop,
        max_clock_ahead_ms=settings.max_clock_ahead_ms,
        after_batch=after_batch,
    )


def _chores(settings: Settings, journal: "Journal", opened: ExitStack) -> list[Callable[[], Any]]:
    """What an updater of a data directory does now and then."""
    age_ms = int(settings.dead_letter_retention_seconds * 1000)
    if not age_ms:
        return [journal.tidy]
    dead_letters = opened.enter_context(closing(adapters.open_dead_letters(settings)))
    return [journal.tidy, lambda: dead_letters.remove_older(time.time_ns() // 1_000_000 - age_ms)]

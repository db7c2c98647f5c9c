"""The updater, put together with its log and its stores."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.jobs.follow import follow
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.shared.tidy import tidying
from devicesync.jobs.update import READER, Updater
from devicesync.log.foreign import ForeignLog
from devicesync.log.port import Log, Reader
from devicesync.status.declared import LOST, Readings
from devicesync.status.measured import StoreCalls
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.stores import Stores

if TYPE_CHECKING:
    from devicesync.log.full import BoundReader
    from devicesync.log.journal import Journal, JournalReader


R = TypeVar("R", bound="BoundReader")


class Embedded(NamedTuple):
    """The updater of a data directory, with its journal."""

    log: "Journal"
    reader: "JournalReader"
    stores: Stores
    updater: Updater
    calls: StoreCalls

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
    calls: StoreCalls


def readings_of(assembled: Embedded | GroupMember) -> Readings:
    """The updater's figures, its reader's, and those of its calls of the stores."""
    return {**assembled.updater.counts.readings(), **assembled.calls.readings(), LOST: assembled.reader.lost}


def refusal_limit(settings: Settings, *, at_once: bool = False) -> RefusalLimit:
    """The limit that stops a job, as set. at_once: for a file that somebody hands over, where no stranger can reach it."""
    return RefusalLimit(settings.bad_share_limit, settings.bad_share_records, 0 if at_once else settings.bad_share_seconds)


@contextmanager
def updating(settings: Settings, command: str, stop: threading.Event, spans: Spans = NO_SPANS) -> Iterator[Embedded]:
    """Hold the data directory and assemble its updater. Raises Held when another process has it."""
    data_directory.prepare(settings.directory)
    with data_directory.Hold(settings.directory, command), embedded(settings, stop, spans) as assembled:
        try:
            yield assembled
        finally:
            stop.set()


@contextmanager
def embedded(settings: Settings, stop: threading.Event, spans: Spans = NO_SPANS) -> Iterator[Embedded]:
    """The updater of a data directory, which the caller holds; closed after the body."""
    with ExitStack() as opened:
        journal = opened.enter_context(closing(adapters.open_journal(settings)))
        reader, stores, updater, calls = _over(journal.reader, journal.source, settings, opened, stop, spans)
        followed = named_log.followed_path(settings)
        if followed:
            foreign = ForeignLog(followed, settings.directory / data_directory.FOLLOWED)
            at_end = threading.Event()
            updater.has_all = at_end.is_set
            follower = threading.Thread(target=follow, args=(foreign, journal, stop, at_end), name="follow")
            follower.start()
            opened.callback(follower.join)
        opened.enter_context(tidying(_chores(settings, journal, opened), settings.tidy_seconds))
        yield Embedded(journal, reader, stores, updater, calls)


@contextmanager
def group_member(settings: Settings, stop: threading.Event, spans: Spans = NO_SPANS) -> Iterator[GroupMember]:
    """A member of the log's group of updaters; closed after the body."""
    with ExitStack() as opened:
        log = opened.enter_context(closing(adapters.open_log(settings)))
        yield GroupMember(log, *_over(log.reader, log.source, settings, opened, stop, spans))


def _over(  # noqa: PLR0917 - all of them are needed
    open_reader: Callable[[str], R], source: str, settings: Settings, opened: ExitStack, stop: threading.Event, spans: Spans
) -> tuple[R, Stores, Updater, StoreCalls]:
    stores, calls = opened.enter_context(closing(adapters.open_stores(settings))), StoreCalls()
    reader = opened.enter_context(closing(open_reader(READER)))  # closed first: the store may keep its last position
    reader.bind(stores.database)
    updater = Updater(
        reader,
        calls.measured(stores),
        opened.enter_context(closing(adapters.open_dead_letters(settings))),
        source=source,
        batch_records=settings.batch_records,
        refusal_limit=refusal_limit(settings),
        stop=stop,
        max_clock_ahead_ms=settings.max_clock_ahead_ms,
        spans=spans,
    )
    opened.callback(updater.close)
    return reader, stores, updater, calls


def _chores(settings: Settings, journal: "Journal", opened: ExitStack) -> list[Callable[[], Any]]:
    """What an updater of a data directory does now and then."""
    age_ms = int(settings.dead_letter_retention_seconds * 1000)
    if not age_ms:
        return [journal.tidy]
    dead_letters = opened.enter_context(closing(adapters.open_dead_letters(settings)))
    return [journal.tidy, lambda: dead_letters.remove_older(SYSTEM.now_ms() - age_ms)]

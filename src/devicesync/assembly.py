"""Jobs put together with the adapters they need, for the commands."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Self

import msgspec

from devicesync import adapters, data_directory
from devicesync.config import Settings
from devicesync.errors import Held
from devicesync.jobs.follow import follow
from devicesync.jobs.shared.delivery import BesideUpdater, Delivery, Direct, OwnUpdater
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.shared.tidy import tidying
from devicesync.jobs.update import READER, Updater
from devicesync.log.foreign import ForeignLog
from devicesync.log.port import Reader, Record
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.log.journal import Journal, JournalReader

AfterBatch = Callable[[Sequence[Record]], None]


def _unheard(records: Sequence[Record]) -> None:
    pass


def refusal_limit(settings: Settings, *, at_once: bool = False) -> RefusalLimit:
    """The limit that stops a job, as set. at_once: for a file that somebody hands over, where no stranger can reach it."""
    return RefusalLimit(settings.bad_share_limit, settings.bad_share_records, 0 if at_once else settings.bad_share_seconds)


class _Assembled:
    """An updater over a reader, with its stores; `with` closes them."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        closing_all: ExitStack,
        *,
        source: str,
        stop: threading.Event,
        after_batch: AfterBatch,
    ) -> None:
        opened = closing_all.enter_context
        self._closing = closing_all
        self.reader = reader
        self.stores = opened(closing(adapters.open_stores(settings)))
        self.updater = Updater(
            reader,
            self.stores,
            opened(closing(adapters.open_dead_letters(settings))),
            source=source,
            batch_records=settings.batch_records,
            refusal_limit=refusal_limit(settings),
            stop=stop,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
            after_batch=after_batch,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()


class Embedded(_Assembled):
    """The updater of a data directory, with its journal. The caller holds the directory."""

    reader: "JournalReader"

    def __init__(self, settings: Settings, stop: threading.Event, after_batch: AfterBatch = _unheard) -> None:
        closing_all = ExitStack()
        self.journal = self.log = closing_all.enter_context(closing(adapters.open_journal(settings)))
        reader = closing_all.enter_context(closing(self.journal.reader(READER)))
        super().__init__(settings, reader, closing_all, source=str(self.journal.path), stop=stop, after_batch=after_batch)
        reader.bind(self.stores.database.identity)
        followed = adapters.followed_path(settings)
        if followed:
            foreign = ForeignLog(followed, settings.directory / data_directory.FOLLOWED)
            follower = threading.Thread(target=follow, args=(foreign, self.journal, stop), name="follow")
            follower.start()
            closing_all.callback(follower.join)
        closing_all.enter_context(tidying(_chores(settings, self.journal, closing_all), settings.tidy_seconds))


def _chores(settings: Settings, journal: "Journal", closing_all: ExitStack) -> list[Callable[[], object]]:
    """What an updater of a data directory does now and then."""
    age_ms = int(settings.dead_letter_retention_seconds * 1000)
    if not age_ms:
        return [journal.tidy]
    dead_letters = closing_all.enter_context(closing(adapters.open_dead_letters(settings)))
    return [journal.tidy, lambda: dead_letters.remove_older(time.time_ns() // 1_000_000 - age_ms)]


class GroupMember(_Assembled):
    """One of any number of updaters that share a log's partitions."""

    def __init__(self, settings: Settings, stop: threading.Event, after_batch: AfterBatch = _unheard) -> None:
        closing_all = ExitStack()
        self.log = closing_all.enter_context(closing(adapters.open_log(settings)))
        reader = closing_all.enter_context(closing(self.log.reader(READER)))
        topic = masked(settings.log).rpartition("/")[2].partition("?")[0]
        super().__init__(settings, reader, closing_all, source=topic, stop=stop, after_batch=after_batch)


@contextmanager
def updating(settings: Settings, command: str, stop: threading.Event, after_batch: AfterBatch = _unheard) -> Iterator[Embedded]:
    """Hold the data directory and assemble its updater. Raises Held when another process has it."""
    data_directory.prepare(settings.directory)
    held = data_directory.Hold(settings.directory, command)
    try:
        with Embedded(settings, stop, after_batch) as embedded:
            try:
                yield embedded
            finally:
                stop.set()
    finally:
        held.release()


@contextmanager
def delivering(settings: Settings, command: str, stop: threading.Event) -> Iterator[Delivery]:
    """A way to bring events in: with an updater of our own, beside the one that holds the data directory, or directly."""
    with ExitStack() as closing_all:
        if adapters.is_shared(settings):
            log = closing_all.enter_context(closing(adapters.open_log(settings)))
            stores = closing_all.enter_context(closing(adapters.open_stores(settings)))
            yield Direct(log, stores, stop)
            return
        data_directory.prepare(settings.directory)
        settings = _without_following(settings)

        def become_updater(held: data_directory.Hold) -> OwnUpdater:
            closing_all.callback(held.release)
            embedded = closing_all.enter_context(Embedded(settings, stop))
            return OwnUpdater(embedded.journal, embedded.reader, embedded.updater, stop)

        def take_over() -> OwnUpdater | None:
            try:
                return become_updater(data_directory.Hold(settings.directory, command))
            except Held:
                return None

        held = data_directory.Hold.wait(settings.directory, command)
        if held:
            yield become_updater(held)
        else:
            journal = closing_all.enter_context(closing(adapters.open_journal(settings)))
            yield BesideUpdater(journal, stop, take_over)


def _without_following(settings: Settings) -> Settings:
    """Commands that bring events in use the journal that takes a followed log's lines, but do not follow it."""
    if not adapters.followed_path(settings):
        return settings
    return msgspec.structs.replace(settings, log=f"journal:{settings.directory / data_directory.JOURNAL}")

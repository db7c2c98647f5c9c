"""Jobs put together with the adapters they need, for the commands."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Self

import msgspec

from devicesync import adapters, hold
from devicesync.config import Settings
from devicesync.errors import Held
from devicesync.jobs.bad_share import BadShare
from devicesync.jobs.delivery import BesideUpdater, Delivery, OwnUpdater
from devicesync.jobs.take import take
from devicesync.jobs.update import READER, Updater
from devicesync.log.foreign import ForeignLog
from devicesync.log.port import Record


def bad_share(settings: Settings) -> BadShare:
    """The limit that stops a job, as set."""
    return BadShare(settings.bad_share_limit, settings.bad_share_records)


class Embedded:
    """The updater of a data directory, with its journal, stores and reader; `with` closes them. The caller holds it."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        after_batch: Callable[[Sequence[Record]], None] = lambda records: None,
    ) -> None:
        self._closing = ExitStack()
        opened = self._closing.enter_context
        self.journal = opened(closing(adapters.open_journal(settings)))
        self.reader = opened(closing(self.journal.reader(READER)))
        self.cache = opened(closing(adapters.open_cache(settings)))
        self.database = opened(closing(adapters.open_database(settings)))
        self.updater = Updater(
            self.reader,
            self.cache,
            self.database,
            opened(closing(adapters.open_dead_letters(settings))),
            source=str(self.journal.path),
            batch_records=settings.batch_records,
            bad_share=bad_share(settings),
            stop=stop,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
            after_batch=after_batch,
        )
        followed = adapters.followed_path(settings)
        if followed:
            foreign = ForeignLog(followed, settings.directory / "follow.json")
            taker = threading.Thread(target=take, args=(foreign, self.journal, stop), name="take")
            taker.start()
            self._closing.callback(taker.join)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()


@contextmanager
def updating(
    settings: Settings,
    command: str,
    stop: threading.Event,
    after_batch: Callable[[Sequence[Record]], None] = lambda records: None,
) -> Iterator[Embedded]:
    """Hold the data directory and assemble its updater. Raises Held when another process has it."""
    hold.prepare(settings.directory)
    held = hold.Hold(settings.directory, command)
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
    """A way to bring events in: with an updater of our own, or beside the one that holds the data directory."""
    hold.prepare(settings.directory)
    settings = _without_following(settings)
    with ExitStack() as closing_all:

        def become_updater(held: hold.Hold) -> OwnUpdater:
            closing_all.callback(held.release)
            embedded = closing_all.enter_context(Embedded(settings, stop))
            return OwnUpdater(embedded.journal, embedded.reader, embedded.updater, stop)

        def take_over() -> OwnUpdater | None:
            try:
                return become_updater(hold.Hold(settings.directory, command))
            except Held:
                return None

        held = hold.Hold.wait(settings.directory, command)
        if held:
            yield become_updater(held)
        else:
            journal = closing_all.enter_context(closing(adapters.open_journal(settings)))
            yield BesideUpdater(journal, stop, take_over)


def _without_following(settings: Settings) -> Settings:
    """Commands that bring events in use the journal that takes a followed log's lines, but do not follow it."""
    if not adapters.followed_path(settings):
        return settings
    return msgspec.structs.replace(settings, log=f"journal:{settings.directory / 'device-profile.log'}")

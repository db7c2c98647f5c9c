"""A way to bring events in, whatever runs here already."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.updater import embedded
from devicesync.config import Settings
from devicesync.errors import Held
from devicesync.jobs.delivery import BesideUpdater, Delivery, Direct, OwnUpdater


@contextmanager
def delivering(settings: Settings, command: str, stop: threading.Event) -> Iterator[Delivery]:
    """With an updater of our own, beside the one that holds the data directory, or directly. Raises Unavailable, WrongUse."""
    with ExitStack() as opened:
        if named_log.is_shared(settings):
            log = opened.enter_context(closing(adapters.open_log(settings)))
            stores = opened.enter_context(closing(adapters.open_stores(settings)))
            yield Direct(log, stores, stop, settings.max_clock_ahead_ms)
            return
        data_directory.prepare(settings.directory)
        settings = named_log.without_following(settings)

        def become_updater(held: data_directory.Hold) -> OwnUpdater:
            opened.callback(held.release)
            assembled = opened.enter_context(embedded(settings, stop))
            return OwnUpdater(assembled.journal, assembled.reader, assembled.updater, stop)

        def take_over() -> OwnUpdater | None:
            try:
                return become_updater(data_directory.Hold(settings.directory, command))
            except Held:
                return None

        held = data_directory.Hold.wait(settings.directory, command)
        if held:
            yield become_updater(held)
        else:
            journal = opened.enter_context(closing(adapters.open_journal(settings)))
            yield BesideUpdater(journal, stop, take_over)

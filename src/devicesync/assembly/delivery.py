"""A way to bring events in, whatever runs here already."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.updater import embedded
from devicesync.config import Settings
from devicesync.errors import Held, Unavailable
from devicesync.jobs.delivery import BesideUpdater, Delivery, Direct, OwnUpdater
from devicesync.jobs.shared.patience import Patience


@contextmanager
def delivering(settings: Settings, command: str, stop: threading.Event) -> Iterator[Delivery]:
    """With an updater of our own, beside the one that holds the data directory, or directly.

    Waits for a short command that holds it. Raises Unavailable, WrongUse, and Stopped when asked to stop meanwhile.
    """
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

        held = _hold(settings.directory, command, stop)
        if held:
            yield become_updater(held)
        else:
            journal = opened.enter_context(closing(adapters.open_journal(settings)))
            yield BesideUpdater(journal, stop, take_over)


def _hold(directory: Path, command: str, stop: threading.Event) -> data_directory.Hold | None:
    """The hold; None where a long-running updater has it.

    Waits, and says so, while a command that will end has it. Raises Unavailable, and Stopped when asked to stop meanwhile.
    """
    try:
        return data_directory.Hold(directory, command)
    except Held:
        return Patience(stop).until_it_works(_hold_now, directory, command)


def _hold_now(directory: Path, command: str) -> data_directory.Hold | None:
    """The same, without waiting: raises Unavailable while a command that will end has it."""
    try:
        return data_directory.Hold(directory, command)
    except Held as held:
        who = data_directory.holder(directory)
        if who and who.is_long_running:
            return None
        raise Unavailable(str(held), "this command goes on when that one ends") from held

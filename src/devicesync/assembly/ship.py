"""`ship`: the journal into Kafka."""

from contextlib import closing, suppress
from typing import Any

import structlog

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.admin import admin_port, used
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.spans import spans_of
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import Stopped, WrongUse
from devicesync.jobs.shared.patience import Patience
from devicesync.jobs.shared.tidy import tidying
from devicesync.jobs.ship import READER
from devicesync.jobs.ship import ship as ship_all
from devicesync.status.declared import SHIPPED, Readings
from devicesync.url import masked

_SAY_SECONDS = 10.0
_log: Any = structlog.get_logger("devicesync")


def ship(settings: Settings, run: LongRun) -> int:
    """Ship until the run ends; how many records. Raises WrongUse, Held, Unavailable."""
    if not named_log.is_plain_journal(settings):
        raise WrongUse("ship reads the journal that `up` or `api` writes", "set --log journal:PATH, or leave it out")
    if not named_log.is_topic(settings.ship_to):
        raise WrongUse("ship needs a Kafka topic to write to", "--ship-to kafka://HOST:PORT/TOPIC, or the setting ship_to")
    data_directory.prepare(settings.directory)
    with data_directory.Hold(settings.directory / data_directory.SHIP, "ship"):
        return _ship(settings, run)


def _ship(settings: Settings, run: LongRun) -> int:
    total, said_at = 0, SYSTEM.monotonic()

    def shipped(records: int) -> None:
        nonlocal total, said_at
        total += records
        if SYSTEM.monotonic() - said_at >= _SAY_SECONDS:
            said_at = SYSTEM.monotonic()
            _log.info("shipped", records=total, to_go=sum(source.unread().values()))

    def readings() -> Readings:
        return {SHIPPED: total}

    with (
        closing(adapters.open_ship_target(settings)) as target,
        closing(adapters.open_journal(settings)) as journal,
        closing(journal.reader(READER)) as source,
        admin_port(
            run.admin_listen,
            settings,
            "ship",
            READER,
            readings,
            uses=used(settings, "log", "ship_to"),
            log=journal.check,
            topic=target.check,
        ) as where,
        run.watcher.running(f"{masked(settings.log)} -> {masked(settings.ship_to)}.{where}"),
        tidying([journal.tidy], settings.tidy_seconds),
        spans_of("ship", settings) as spans,
    ):
        with suppress(Stopped):
            Patience(run.stop).until_it_works(target.check)  # also where nothing is to be shipped yet
        ship_all(
            source,
            target,
            run.stop,
            batch_records=settings.batch_records,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
            until_caught_up=run.until_caught_up,
            shipped=shipped,
            topic=target.topic,
            spans=spans,
        )
    return total

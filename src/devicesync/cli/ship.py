"""`ship`: the journal into Kafka."""

import argparse
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from devicesync.cli.admin import admin_option, admin_port
from devicesync.cli.options import print_json, settings_of, until_caught_up_option, verbose_option
from devicesync.errors import WrongUse
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.cli.process import Stop
    from devicesync.config import Settings

_SAY_SECONDS = 10.0


def ship_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ship`."""
    parser.add_argument("--ship-to", metavar="URL", help="kafka://HOST:PORT/TOPIC")
    until_caught_up_option(parser)
    verbose_option(parser)
    admin_option(parser)


def ship(arguments: argparse.Namespace) -> int:
    """Copy the journal into a Kafka topic as it grows: byte for byte, in order, with the device's id as key. At least once.

    Goes on where it stopped, also after kill -9; the journal keeps what is not shipped yet. Instead of it, rsyslog or
    Logstash may ship device-profile.log (deploy/rsyslog, deploy/logstash).

        devicesync ship --ship-to kafka://localhost:9092/dev.events.deviceprofile
    """
    from devicesync import data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=arguments.verbose)
    settings = settings_of(arguments).settings
    _check(settings)
    stop = stop_on_signals()
    data_directory.prepare(settings.directory)
    place = settings.directory / data_directory.SHIP
    place.mkdir(exist_ok=True)
    held = data_directory.Hold(place, "ship")
    shipped = _ship(settings, stop, arguments.admin_listen, until_caught_up=arguments.until_caught_up)
    held.release()
    if arguments.json:
        print_json({"shipped": shipped})
    return 0


def _ship(settings: "Settings", stop: "Stop", admin_listen: str | None, *, until_caught_up: bool) -> int:
    import structlog  # noqa: PLC0415 - --help needs none of it

    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import running  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.shared.patience import Patience, Stopped  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.shared.tidy import tidying  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.ship import READER  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.ship import ship as ship_all  # noqa: PLC0415 - --help needs none of it
    from devicesync.log.kafka import KafkaLog, KafkaUrl  # noqa: PLC0415 - --help needs none of it

    total, said_at = 0, time.monotonic()
    log: Any = structlog.get_logger("devicesync")

    def shipped(records: int) -> None:
        nonlocal total, said_at
        total += records
        if time.monotonic() - said_at >= _SAY_SECONDS:
            said_at = time.monotonic()
            log.info("shipped", records=total, to_go=source.lag())

    what = f"{masked(settings.log)} -> {masked(settings.ship_to)}."
    counters = {"devicesync_shipped_total": ("Records that the topic has acknowledged.", lambda: total)}
    with (
        closing(KafkaLog(KafkaUrl.parse(settings.ship_to), settings.group)) as target,
        closing(adapters.open_journal(settings)) as journal,
        closing(journal.reader(READER)) as source,
        admin_port(admin_listen, settings, READER, counters, log=journal.check, topic=target.check) as where,
        running("ship", what + where, stop),
        tidying([journal.tidy], settings.tidy_seconds),
    ):
        with suppress(Stopped):
            Patience(stop).until_it_works(target.check)  # also where nothing is to be shipped yet
        ship_all(source, target, stop, batch_records=settings.batch_records, until_caught_up=until_caught_up, shipped=shipped)
    return total


def _check(settings: "Settings") -> None:
    if not settings.log.startswith("journal:"):
        raise WrongUse("ship reads the journal that `up` or `api` writes", "set --log journal:PATH, or leave it out")
    if not settings.ship_to.startswith("kafka://"):
        raise WrongUse("ship needs a Kafka topic to write to", "--ship-to kafka://HOST:PORT/TOPIC, or the setting ship_to")

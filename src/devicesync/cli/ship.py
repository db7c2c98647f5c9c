"""`ship`: the journal into Kafka."""

import argparse

from devicesync.cli.options import admin_option, log_options, until_caught_up_option
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def ship_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ship`."""
    parser.add_argument("--ship-to", metavar="URL", help="kafka://HOST:PORT/TOPIC")
    until_caught_up_option(parser)
    log_options(parser)
    admin_option(parser)


def ship(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Copy the journal into a Kafka topic as it grows: byte for byte, in order, with the device's id as key. At least once.

    Goes on where it stopped, also after kill -9; the journal keeps what is not shipped yet. Instead of it, rsyslog or
    Logstash may ship device-profile.log (deploy/rsyslog, deploy/logstash).

        devicesync ship --ship-to kafka://localhost:9092/dev.events.deviceprofile
    """
    from devicesync.assembly.ship import ship as ship_journal
    from devicesync.cli.process import long_run

    return Outcome({"shipped": ship_journal(settings, long_run("ship", arguments))})

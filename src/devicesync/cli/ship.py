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
    """Copy the journal into a Kafka topic as it grows: byte for byte, in order, at least once. The key is the device's id.

    It goes on where it stopped, also after kill -9. The journal keeps what is not shipped yet. rsyslog or Logstash can ship
    device-profile.log instead (deploy/rsyslog, deploy/logstash).

        devicesync ship --ship-to kafka://localhost:9092/dev.events.deviceprofile
    """
    from devicesync.assembly.ship import ship as ship_journal
    from devicesync.cli.process import AGAIN_SECONDS, long_run

    return Outcome({"shipped": ship_journal(settings, long_run("ship", arguments, AGAIN_SECONDS))})

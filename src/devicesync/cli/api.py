"""`api`: the Device Register API alone."""

import argparse

from devicesync.cli.options import listen_options, log_options
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def api_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `api`."""
    log_options(parser)
    listen_options(parser)


def api(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Serve the Device Register API alone: registrations go into the log, profiles come out of the stores.

    Ctrl-C or SIGTERM stops it. With a journal, an `up` or `update` on the same data directory takes the registrations into
    the stores. With a Kafka log any number of `api` and `update` may run, on any machines. The page at / explains the calls.
    """
    from devicesync.assembly.serving import api_alone
    from devicesync.cli.process import Terminal, stop_on_signals

    del arguments
    stop = stop_on_signals()
    with api_alone(settings) as (public, admin), Terminal("api", stop).running(f"listening on {public}, admin on {admin}."):
        stop.wait()
    return Outcome()

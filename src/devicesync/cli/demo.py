"""`demo`: the tour that `make run` shows."""

import argparse

from devicesync.cli.options import number
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def demo_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo`."""
    parser.add_argument("--seconds", type=number(float, 0), help="end after this time [until Ctrl-C]")
    parser.add_argument("--rate", type=number(float, 1), default=200.0, help="simulated registrations a second [200]")


def demo(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take a short tour: one event goes in, its profile comes out, telemetry shows it, and live traffic shows its freshness.

    It uses the data directory, whatever servers the settings name.
    """
    from devicesync.assembly.tour import tour
    from devicesync.cli.process import stop_on_signals

    tour(settings, stop_on_signals(), lambda text: print(text, flush=True), seconds=arguments.seconds, rate=arguments.rate)
    return Outcome()

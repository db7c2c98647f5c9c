"""`simulate`: writes realistic registrations."""

import argparse

from devicesync.cli.options import MANY, number
from devicesync.cli.outcome import Outcome
from devicesync.clock import LAST_MS
from devicesync.config import Settings
from devicesync.url import file_of


def simulate_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `simulate`."""
    add = parser.add_argument
    add("--count", type=number(int, 0), help="stop after this many registrations [never]")
    add("--devices", type=number(int, 1), default=1000, help="how many devices take part [1000]")
    add("--rate", type=number(float, 0.001), help="registrations a second [100; with --count as fast as possible]")
    add("--bad", type=number(float, 0, 1), default=0.01, help="the share of records that are invalid [0.01]")
    add("--seed", type=number(int, -MANY), default=1, help="the same seed gives the same devices [1]")
    add("--start-ms", type=number(int, 0, LAST_MS - MANY), help="the first one's time, in ms; each ms has one [the last is now]")
    add("--to", metavar="FILE|-", type=file_of, help="write lines to a file or stdout [into the log]")


def simulate(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write realistic registrations: moving devices, legacy forms, a share of bad records.

    They go into the log, and a running `up` or `update` takes them from there. With --to they go into a file for `apply`.
    """
    from devicesync.assembly import simulate as job
    from devicesync.assembly.line_output import lines_into
    from devicesync.cli.process import Terminal, stop_on_signals
    from devicesync.simulation import Simulation

    simulation = Simulation(seed=arguments.seed, devices=arguments.devices, bad_share=arguments.bad)
    pace = job.Pace(arguments.count, arguments.rate, arguments.start_ms)
    stop = stop_on_signals()
    with job.into_log(settings) if arguments.to is None else lines_into(arguments.to, stop) as write:
        written = job.simulate(simulation, pace, write, stop, Terminal("simulate"))
    return Outcome(None if str(arguments.to) == "-" else {"written": written}, remark=f"{written} registrations written")
